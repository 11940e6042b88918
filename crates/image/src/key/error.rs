use super::Fingerprint;

/// Why bytes are not a key, or a key may not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Neither of the two forms.
    #[error("not an Ed25519 public key: neither PEM (SPKI) nor 64 hex digits")]
    NotPublic,
    /// A private key was given where a public one belongs. Nothing of it was kept.
    #[error("a private key where a public key belongs")]
    PrivateAsPublic,
    /// More bytes than any key file has.
    #[error("key of {got} bytes, more than the {max} allowed")]
    TooLong {
        /// Its length, in bytes.
        got: usize,
        /// The longest allowed, in bytes.
        max: usize,
    },
    /// 32 bytes that are no point of the curve, or not the one encoding of one.
    #[error("not a point of the Ed25519 curve in its canonical encoding")]
    NotOnCurve,
    /// A key of small order, for which anyone can make signatures (the all-zero key is one).
    #[error("weak Ed25519 key {fingerprint}: anyone could sign for it")]
    Weak {
        /// The key.
        fingerprint: Fingerprint,
    },
    /// The private half of this key is printed in documents or test suites.
    #[error(
        "key {fingerprint} is a published test key ({origin}); only the dev profile may use it"
    )]
    TestKey {
        /// The key.
        fingerprint: Fingerprint,
        /// Where its private half can be read.
        origin: &'static str,
    },
}
