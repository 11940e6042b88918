use rstest::rstest;

use super::*;

fn error(port: &str) -> TransportError {
    let spec = port.parse().unwrap();
    match open(&spec, &OpenOptions::default()) {
        Ok(link) => panic!("{port} opened: {link:?}"),
        Err(error) => error,
    }
}

/// A new driver or layer belongs into this list, the documents and the test matrix.
#[test]
fn exactly_these_are_registered() {
    let schemes: Vec<_> = schemes().iter().map(|driver| driver.scheme).collect();
    assert_eq!(schemes, ["loopback", "replay", "serial", "tcp", "unix"]);
    let layers: Vec<_> = layers().iter().map(|layer| layer.name).collect();
    assert_eq!(layers, ["capture", "lossy", "slow"]);
}

#[test]
fn every_driver_layer_and_key_says_what_it_is() {
    for driver in schemes() {
        assert!(!driver.summary.is_empty() && driver.syntax.starts_with(driver.scheme));
    }
    let keys = schemes().into_iter().flat_map(|driver| driver.keys);
    for key in keys.chain(layers().into_iter().flat_map(|layer| layer.keys)) {
        assert!(!key.name.is_empty() && !key.summary.is_empty());
    }
}

#[rstest]
#[case(
    "serail:/x",
    "did you mean `serial`? (known: loopback, replay, serial, tcp, unix)"
)]
#[case("usb:/x", "no driver for `usb:` (known: loopback")]
#[case(
    "losy+unix:/x",
    "no layer `losy+`, did you mean `lossy`? (known: capture, lossy, slow)"
)]
#[case(
    "unix:/x?lisen",
    "no key `lisen`, did you mean `listen`? (known: listen)"
)]
#[case("loopback:x?a=1", "no key `a` (known: none)")]
#[case("slow+unix:/x?unix.rate=1", "no key `unix.rate`")]
#[case("slow+unix:/x?slow.2.rate=1", "no key `slow.2.rate`")]
#[case("slow+unix:/x?slow.x.rate=1", "no key `slow.x.rate`")]
#[case("slow+unix:/x?a.b.c.rate=1", "no key `a.b.c.rate`")]
#[case(
    "slow+slow+unix:/x?rate=1",
    "could mean `slow.1.rate` or `slow.2.rate`"
)]
#[case(
    "slow+slow+unix:/x?slow.rate=1",
    "could mean `slow.1.rate` or `slow.2.rate`"
)]
#[case("slow+unix:/x?rate=1&slow.rate=2", "it has `rate` twice for `slow`")]
#[case(
    "slow+unix:/x?rate=0",
    "rate=0 is not a number of bytes per second from 1"
)]
#[case("capture+unix:/x", "file= is not the name of a file")]
#[case("unix:/x?listen=maybe", "listen=maybe is not yes or no")]
#[case("serial:/dev/null?baud=0", "baud=0 is not a number of baud from 1")]
#[case("serial:/dev/null?flow=xon", "flow=xon is not none or rtscts")]
fn a_bad_name_key_or_value_is_named_before_anything_is_opened(
    #[case] port: &str,
    #[case] want: &str,
) {
    let text = error(port).to_string();
    assert!(text.contains(want), "{text}");
}

#[test]
fn each_key_goes_to_the_part_it_names() {
    const KNOWN: &[Key] = &[Key::new("rate", "x")];
    const OTHER: &[Key] = &[Key::new("seed", "x")];
    let names = [
        ("slow", KNOWN),
        ("lossy", OTHER),
        ("slow", KNOWN),
        ("unix", &[][..]),
    ];
    let mut parts: Vec<Part> = names
        .iter()
        .map(|(name, keys)| Part::new("p", name, keys))
        .collect();
    let params: PortSpec = "unix:/x?slow.2.rate=22&seed=7&slow.1.rate=11"
        .parse()
        .unwrap();
    assign::assign("p", &params.params, &mut parts).unwrap();
    let given: Vec<_> = parts
        .iter()
        .map(|part| part.params.get("rate").or(part.params.get("seed")))
        .collect();
    assert_eq!(given, [Some("11"), Some("7"), Some("22"), None]);
}

#[test]
fn two_of_one_name_are_refused() {
    fn never(_: &DriverRequest<'_>) -> Result<Box<dyn Transport>, TransportError> {
        unreachable!()
    }
    fn neither(_: &LayerRequest<'_>) -> Result<Wrap, TransportError> {
        unreachable!()
    }
    let (driver, layer) = (Driver::new("twice", never), Layer::new("twice", neither));
    let shouting = Driver::new("LOUD", never);
    for (drivers, layers, name) in [
        (vec![&driver, &driver], vec![], "twice"),
        (vec![&driver], vec![&layer], "twice"),
        (vec![&shouting], vec![], "LOUD"),
    ] {
        let refused = check_names(&drivers, &layers);
        assert!(matches!(refused, Err(TransportError::BadName { name: n }) if n == name));
    }
}
