use rstest::rstest;

use super::*;

#[rstest]
#[case("127.0.0.1:80", "127.0.0.1:80")]
#[case("127.9.9.9:1", "127.9.9.9:1")]
#[case("[::1]:80", "[::1]:80")]
#[case("localhost:80", "127.0.0.1:80")]
fn addresses_of_this_machine_need_no_permission(#[case] target: &str, #[case] first: &str) {
    assert_eq!(
        resolve("tcp:x", target, false).unwrap()[0],
        first.parse().unwrap()
    );
}

#[rstest]
#[case("10.0.0.1:80")]
#[case("0.0.0.0:80")]
#[case("[::]:80")]
#[case("example.invalid:80")]
fn other_machines_need_permission(#[case] target: &str) {
    assert!(matches!(
        resolve("tcp:x", target, false),
        Err(TransportError::Remote { .. })
    ));
}

#[rstest]
#[case("10.0.0.1:80")]
#[case("0.0.0.0:80")]
fn other_machines_are_reached_with_permission(#[case] target: &str) {
    assert_eq!(
        resolve("tcp:x", target, true).unwrap()[0],
        target.parse().unwrap()
    );
}

#[rstest]
#[case("80", "HOST:PORT")]
#[case("localhost:", "number")]
#[case("localhost:65536", "number")]
#[case("::1:80", "brackets")]
#[case("[x]:80", "IPv6")]
#[case(":80", "host is missing")]
fn bad_targets_say_why(#[case] target: &str, #[case] reason: &str) {
    let error = resolve("tcp:x", target, true).unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
}
