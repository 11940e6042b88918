use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;

fn folder_with(names: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        fs::write(dir.path().join(name), name).unwrap();
    }
    dir
}

fn ports(text: &str) -> Vec<String> {
    let found = Wanted::parse(text).unwrap().look();
    found.into_iter().map(|found| found.port).collect()
}

fn wanted(texts: &[String]) -> Vec<Wanted> {
    let parse = |text: &String| Wanted::parse(text).unwrap();
    texts.iter().map(parse).collect()
}

#[test]
fn a_pattern_finds_what_is_there_in_the_form_that_it_has() {
    let dir = folder_with(&["dev-1.sock", "dev-2.sock", "other"]);
    let dir = dir.path().display();
    assert_eq!(
        ports(&format!("unix:{dir}/dev-*.sock")),
        [
            format!("unix:{dir}/dev-1.sock"),
            format!("unix:{dir}/dev-2.sock")
        ]
    );
    assert_eq!(
        ports(&format!("slow+unix:{dir}/dev-[2-9].sock?rate=9")),
        [format!("slow+unix:{dir}/dev-2.sock?rate=9")]
    );
    assert_eq!(ports(&format!("{dir}/oth*")), [format!("{dir}/other")]);
    assert_eq!(
        ports(&format!("lossy+{dir}/oth*?seed=1")),
        [format!("lossy+{dir}/other?seed=1")]
    );
    assert_eq!(ports(&format!("{dir}/none*")), [""; 0]);
}

#[test]
fn what_a_pattern_finds_is_a_port_again() {
    let dir = folder_with(&["a+b%c"]);
    let shown = dir.path().display();
    for text in [format!("unix:{shown}/a*"), format!("{shown}/a*")] {
        let [port] = ports(&text).try_into().unwrap();
        let spec: PortSpec = port.parse().unwrap();
        assert_eq!(Path::new(&spec.target), dir.path().join("a+b%c"), "{port}");
    }
}

#[test]
fn an_address_is_no_pattern_and_an_encoded_star_is_none() {
    for text in ["tcp:[::1]:7000", "loopback:a*", "unix:/run/a%2A"] {
        assert!(!Wanted::parse(text).unwrap().is_pattern(), "{text}");
    }
    assert!(Wanted::parse("/dev/ttyUSB*").unwrap().is_pattern());
    let error = Wanted::parse("/dev/ttyUSB[").unwrap_err();
    assert_eq!(error.reason(), Reason::PortBadSpec);
}

#[test]
fn two_names_of_one_port_are_one() {
    let dir = folder_with(&["a", "b"]);
    symlink(dir.path().join("a"), dir.path().join("link")).unwrap();
    let dir = dir.path().display();
    let refused = |names: [String; 2]| each_once(&wanted(&names)).is_err();
    assert!(refused([format!("unix:{dir}/a"), format!("unix:{dir}/a")]));
    assert!(refused([
        format!("unix:{dir}/a"),
        format!("unix:{dir}/link")
    ]));
    assert!(refused([
        format!("unix:{dir}/a"),
        format!("lossy+unix:{dir}/a?seed=1")
    ]));
    assert!(refused([format!("{dir}/a"), format!("serial:{dir}/a")]));
    assert!(!refused([format!("unix:{dir}/a"), format!("unix:{dir}/b")]));
    assert!(!refused(["loopback:a".into(), "loopback:b".into()]));
}

#[test]
fn what_was_replaced_is_another_node_and_what_is_gone_is_none() {
    let dir = folder_with(&["s"]);
    let path = dir.path().join("s");
    let wanted = Wanted::parse(&format!("unix:{}", path.display())).unwrap();
    let [before] = wanted.look().try_into().unwrap();
    assert_eq!(before.again(), Some(before.node.clone()));
    fs::rename(&path, dir.path().join("old")).unwrap();
    assert_eq!(before.again(), None);
    assert_eq!(wanted.look(), []);
    fs::write(&path, "another").unwrap();
    assert!(before.again().is_some_and(|node| node != before.node));
}
