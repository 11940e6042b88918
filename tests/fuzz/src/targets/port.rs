use nx_transport::PortSpec;

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "port",
    bytes_max: 512,
    run,
    seeds,
};

fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    match text.parse::<PortSpec>() {
        Ok(spec) => {
            let printed = spec.to_string();
            assert!(!printed.chars().any(char::is_control), "{printed:?}");
            assert_eq!(printed.parse::<PortSpec>().ok().as_ref(), Some(&spec));
            for part in spec.layers.iter().map(|layer| &layer.name) {
                assert!(part.bytes().all(is_name_byte), "{part}");
            }
            assert!(spec.scheme.bytes().all(is_name_byte), "{}", spec.scheme);
            true
        }
        Err(error) => {
            let shown = error.to_string();
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
            false
        }
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

fn seeds() -> Vec<Vec<u8>> {
    [
        "unix:/run/flash.sock?listen=yes",
        "lossy+slow+/dev/ttyS0?ber=1e-5&slow.rate=9600&lossy.seed=4",
        "COM3",
        "tcp:[::1]:7000?remote=yes",
        "loopback:a%3Fb%26c%2Bd%25e%0A",
        "serial:/dev/serial/by-id/usb-1a86_USB+Serial-if00-port0?baud=115200",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
