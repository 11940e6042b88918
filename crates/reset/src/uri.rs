use std::fmt::Write as _;

/// The URI of the state namespace's top level.
pub(crate) const STATE: &str = "state:/";

/// `state:/` followed by `name`, percent-encoded so that every name is one printable word.
///
/// Different names give different URIs, so plans and their hashes cannot be confused by a name that
/// holds a tab, a newline or an escape code.
pub(crate) fn of_name(name: &[u8]) -> String {
    let mut uri = String::from(STATE);
    push_encoded(&mut uri, name);
    uri
}

/// Appends `name` to `uri`, percent-encoded.
pub(crate) fn push_encoded(uri: &mut String, name: &[u8]) {
    for &byte in name {
        if byte.is_ascii_alphanumeric() || b"-._~+,=@:".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn odd_names_become_one_printable_word() {
        assert_eq!(of_name(b"apps"), "state:/apps");
        assert_eq!(of_name(b"a\tb\n\x1b[2J"), "state:/a%09b%0A%1B%5B2J");
        assert_eq!(of_name(b"50%"), "state:/50%25");
        assert_eq!(of_name(b"\xff"), "state:/%FF");
    }

    proptest! {
        #[test]
        fn different_names_have_different_uris(a: Vec<u8>, b: Vec<u8>) {
            prop_assert_eq!(a == b, of_name(&a) == of_name(&b));
        }
    }
}
