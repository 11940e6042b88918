use rstest::rstest;

use super::*;

fn parse(text: &str) -> PortSpec {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[rstest]
#[case::path("/dev/ttyS0", "serial:/dev/ttyS0")]
#[case::path_with_colon(
    "/dev/serial/by-path/pci-0000:00",
    "serial:/dev/serial/by-path/pci-0000:00"
)]
#[case::path_with_plus("/dev/a+b", "serial:/dev/a%2Bb")]
#[case::relative("./tty", "serial:./tty")]
#[case::com("COM3", "serial:COM3")]
#[case::layered_path("lossy+/dev/ttyS0?ber=1e-5", "lossy+serial:/dev/ttyS0?ber=1e-5")]
#[case::tcp("tcp:[::1]:80?listen", "tcp:[::1]:80?listen")]
#[case::empty_value("unix:/x?listen=", "unix:/x?listen")]
#[case::encoded("unix:/a%3fb%26c%25d?file=x%26y", "unix:/a%3Fb%26c%25d?file=x%26y")]
#[case::layers(
    "capture+lossy+slow+unix:/x?slow.rate=9&lossy.seed=7",
    "capture+lossy+slow+unix:/x?slow.rate=9&lossy.seed=7"
)]
#[case::no_target("loopback:", "loopback:")]
fn prints_canonical_text_that_parses_to_itself(#[case] text: &str, #[case] canonical: &str) {
    let spec = parse(text);
    assert_eq!(spec.to_string(), canonical);
    assert_eq!(parse(canonical), spec);
}

#[test]
fn parts_are_decoded() {
    let spec = parse("lossy+slow+unix:/tmp/a%3Fb?rate=1&note=x%2By");
    assert_eq!(
        spec.layers
            .iter()
            .map(|l| l.name.as_str())
            .collect::<Vec<_>>(),
        ["lossy", "slow"]
    );
    assert_eq!(spec.scheme, "unix");
    assert_eq!(spec.target, "/tmp/a?b");
    assert_eq!(
        spec.params[1],
        Param {
            key: "note".into(),
            value: "x+y".into()
        }
    );
}

#[test]
fn any_target_and_value_survive_printing() {
    for awkward in [
        "",
        "a?b&c+d%e=f:g",
        "100%",
        "ü/λ",
        "a\nb\u{7f}",
        "++",
        "%%41",
    ] {
        let mut spec = PortSpec::new("unix", awkward);
        spec.params.push(Param {
            key: "k".into(),
            value: awkward.into(),
        });
        assert_eq!(parse(&spec.to_string()), spec);
    }
}

#[rstest]
#[case("", "empty")]
#[case("lossy+", "empty")]
#[case("ttyUSB0", "neither a scheme")]
#[case("Unix:/x", "lower-case")]
#[case("unix:/x%4", "hex digits")]
#[case("unix:/x%zz", "hex digits")]
#[case("unix:/x%ff", "UTF-8")]
#[case("unix:/x?", "a key is")]
#[case("unix:/x?=1", "a key is")]
#[case("unix:/x?a=1&&b", "a key is")]
#[case("unix:/x?a=1&a=2", "same key twice")]
#[case("unix:/x\n", "control")]
fn bad_text_says_why(#[case] text: &str, #[case] reason: &str) {
    let error = text.parse::<PortSpec>().unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
    assert!(!error.contains('\n'));
}
