use super::*;

fn error(port: &str) -> TransportError {
    open(&port.parse().unwrap(), &OpenOptions::default()).unwrap_err()
}

#[test]
fn an_unknown_scheme_names_the_known_and_the_nearest() {
    let text = error("lopback:x").to_string();
    assert!(text.contains("did you mean `loopback`?"), "{text}");
    assert!(text.contains("loopback"), "{text}");
}

#[test]
fn two_drivers_of_one_scheme_are_refused() {
    fn never(_: &DriverRequest<'_>) -> Result<Box<dyn Transport>, TransportError> {
        unreachable!()
    }
    let driver = Driver::new("twice", never);
    let refused = check_names(&[&driver, &driver], &[]);
    assert!(matches!(refused, Err(TransportError::BadName { name }) if name == "twice"));
}
