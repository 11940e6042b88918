use nx_image::PublicKey;

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "public_key",
    bytes_max: 1_024,
    run,
    seeds,
};

fn run(bytes: &[u8]) -> bool {
    let Ok(key) = PublicKey::parse(bytes) else {
        return false;
    };
    // The bytes of a key are its one form, and they are those of no weak key.
    assert_eq!(PublicKey::from_bytes(key.as_bytes()).as_ref(), Ok(&key));
    let hex: String = key.as_bytes().iter().map(|b| format!("{b:02X} ")).collect();
    assert_eq!(PublicKey::parse(hex.as_bytes()).as_ref(), Ok(&key));
    assert_eq!(key.fingerprint().to_string().len(), 32);
    true
}

fn seeds() -> Vec<Vec<u8>> {
    let key = nx_image::test_image::TestImage::key();
    let hex: String = key.as_bytes().iter().map(|b| format!("{b:02x}")).collect();
    // RFC 8410, section 10.1.
    let pem = b"-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";
    vec![hex.into_bytes(), pem.to_vec(), [b'0'; 64].to_vec()]
}
