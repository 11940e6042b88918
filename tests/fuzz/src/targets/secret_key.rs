use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;

use nx_image::key::SigningKey;

use crate::Target;
use crate::scratch;

pub(crate) const TARGET: Target = Target {
    name: "secret_key",
    bytes_max: 1_024,
    run,
    seeds,
};

fn run(bytes: &[u8]) -> bool {
    let path = scratch::path("key.pem");
    write_private(&path, bytes);
    match SigningKey::read(&path) {
        Ok(key) => {
            let signature = key.sign(b"message");
            assert!(key.public_key().verify(b"message", &signature).is_ok());
            let shown = format!("{key:?}").to_ascii_lowercase();
            let text = String::from_utf8_lossy(bytes).trim().to_ascii_lowercase();
            assert!(!shown.contains(&text), "a key is never printed");
            true
        }
        Err(error) => {
            // What was in the file may have been half a key.
            let shown = format!("{error} {error:?}");
            let text = String::from_utf8_lossy(bytes);
            for word in text.split_whitespace().filter(|word| word.len() > 12) {
                let of_ours = "-----BEGIN PRIVATE KEY-----".contains(word);
                assert!(of_ours || !shown.contains(word), "{shown}");
            }
            false
        }
    }
}

fn write_private(path: &std::path::Path, bytes: &[u8]) {
    let mut options = fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
}

fn seeds() -> Vec<Vec<u8>> {
    // RFC 8410, section 10.3: without and with the public key.
    let short = b"-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    let long = b"-----BEGIN PRIVATE KEY-----\n\
        MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB\n\
        Z9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PRIVATE KEY-----\n";
    vec![short.to_vec(), long.to_vec(), "ab".repeat(32).into_bytes()]
}
