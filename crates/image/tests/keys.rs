//! Keys in files, and who signs with them, judged by OpenSSL.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nx_image::PublicKey;
use nx_image::key::{SecretKeyError, SigningKey};
use nx_image::signer::{CommandSigner, Signer as _, SignerError};
use rstest::rstest;
use tempfile::TempDir;

/// The private key of RFC 8410, section 10, in every form that is read.
const SEED: &str = "d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842";
const VERSION_1: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
    -----END PRIVATE KEY-----\n";
const VERSION_2: &str = "-----BEGIN PRIVATE KEY-----\n\
    MFECAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
    gSEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
    -----END PRIVATE KEY-----\n";
const PUBLIC_PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
    -----END PUBLIC KEY-----\n";
const PUBLIC: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }
}

fn openssl(args: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("openssl: {error}; `cargo xtask setup` installs it"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn published() -> SigningKey {
    let folder = Folder::new();
    SigningKey::read(&folder.file("key", VERSION_1, 0o600)).unwrap()
}

#[rstest]
#[case::version_1(VERSION_1)]
#[case::version_2(VERSION_2)]
#[case::seed(SEED)]
fn every_form_of_a_private_key_is_the_same_key(#[case] form: &str) {
    let folder = Folder::new();
    for content in [form.to_owned(), format!("\n{form}\n\n")] {
        let key = SigningKey::read(&folder.file("key", &content, 0o600)).unwrap();
        assert_eq!(
            key.public_key(),
            PublicKey::parse(PUBLIC.as_bytes()).unwrap()
        );
    }
}

#[test]
fn a_public_key_where_a_private_one_belongs_is_told_as_that_whoever_can_read_it() {
    let folder = Folder::new();
    for mode in [0o600, 0o644] {
        let got = SigningKey::read(&folder.file("key.pub", PUBLIC_PEM, mode));
        assert!(matches!(got, Err(SecretKeyError::Public { .. })), "{got:?}");
    }
}

#[rstest]
#[case::short(&SEED[1..])]
#[case::empty("")]
#[case::halves_that_do_not_belong_together(&VERSION_2.replace("gSEAGb9E", "gSEAGb9F"))]
#[case::x25519(&VERSION_1.replace("K2Vw", "K2Vu"))]
fn what_is_no_private_key_is_refused(#[case] content: &str) {
    let folder = Folder::new();
    let got = SigningKey::read(&folder.file("key", content, 0o600));
    assert!(
        matches!(got, Err(SecretKeyError::NotPrivate { .. })),
        "{got:?}"
    );
}

#[rstest]
fn a_key_that_others_can_touch_is_refused(
    #[values(0o640, 0o604, 0o620, 0o601, 0o666, 0o610)] mode: u32,
) {
    let folder = Folder::new();
    let got = SigningKey::read(&folder.file("key", SEED, mode));
    let Err(SecretKeyError::Exposed { mode: named, .. }) = got else {
        panic!("{got:?}");
    };
    assert_eq!(named, mode);
}

#[test]
fn a_file_of_any_length_is_read_no_further_than_a_key_goes() {
    let folder = Folder::new();
    let path = folder.file("key", "", 0o600);
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    let got = SigningKey::read(&path);
    assert!(
        matches!(got, Err(SecretKeyError::NotPrivate { .. })),
        "{got:?}"
    );
}

#[test]
fn a_written_key_is_its_owners_and_comes_back() {
    let folder = Folder::new();
    let (secret, public) = (folder.path("os.key"), folder.path("os.pub"));
    let key = SigningKey::from_seed(&[0x5c; 32]).unwrap();
    key.write_new(&secret).unwrap();
    key.write_public_new(&public).unwrap();
    let mode = fs::metadata(&secret).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    assert_eq!(
        SigningKey::read(&secret).unwrap().public_key(),
        key.public_key()
    );
    let read = PublicKey::parse(&fs::read(&public).unwrap()).unwrap();
    assert_eq!(read, key.public_key());
}

#[test]
fn no_key_is_ever_overwritten() {
    let folder = Folder::new();
    let path = folder.file("key", "precious", 0o644);
    let dangling = folder.path("link");
    std::os::unix::fs::symlink(folder.path("nowhere"), &dangling).unwrap();
    let key = published();
    for path in [&path, &dangling] {
        for got in [key.write_new(path), key.write_public_new(path)] {
            assert!(matches!(got, Err(SecretKeyError::Exists { .. })), "{got:?}");
        }
    }
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    assert!(!folder.path("nowhere").exists());
}

#[test]
fn a_key_is_never_printed() {
    let key = published();
    let printed = format!("{key:?}");
    assert_eq!(
        printed,
        format!("SigningKey({})", key.public_key().fingerprint())
    );
}

#[test]
fn openssl_reads_our_keys_and_checks_our_signatures() {
    let folder = Folder::new();
    let [secret, public, message, signature] =
        ["os.key", "os.pub", "OS.json", "os.sig"].map(|name| folder.path(name));
    let key = SigningKey::from_seed(&[0x5c; 32]).unwrap();
    key.write_new(&secret).unwrap();
    key.write_public_new(&public).unwrap();
    let derived = openssl(&["pkey", "-in", text(&secret), "-pubout"]);
    assert_eq!(derived, fs::read_to_string(&public).unwrap());
    // Longer than any internal buffer, and not of round length.
    let content = vec![0xa5; 200_003];
    fs::write(&message, &content).unwrap();
    fs::write(&signature, key.sign(&content)).unwrap();
    let said = openssl(&[
        "pkeyutl",
        "-verify",
        "-rawin",
        "-pubin",
        "-inkey",
        text(&public),
        "-in",
        text(&message),
        "-sigfile",
        text(&signature),
    ]);
    assert!(said.contains("Verified Successfully"), "{said}");
}

#[test]
fn we_read_openssls_keys_and_check_its_signatures() {
    let folder = Folder::new();
    let secret = folder.file("os.key", "", 0o600);
    let public = folder.path("os.pub");
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", text(&secret)]);
    openssl(&[
        "pkey",
        "-in",
        text(&secret),
        "-pubout",
        "-out",
        text(&public),
    ]);
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let key = SigningKey::read(&secret).unwrap();
    let known = PublicKey::parse(&fs::read(&public).unwrap()).unwrap();
    assert_eq!(key.public_key(), known);
    let message = folder.file("OS.json", "any bytes", 0o644);
    let signature = folder.path("os.sig");
    openssl(&[
        "pkeyutl",
        "-sign",
        "-rawin",
        "-inkey",
        text(&secret),
        "-in",
        text(&message),
        "-out",
        text(&signature),
    ]);
    let signature: [u8; 64] = fs::read(&signature).unwrap().try_into().unwrap();
    assert_eq!(known.verify(b"any bytes", &signature), Ok(()));
    // Ed25519 has no randomness: both make the same bytes.
    assert_eq!(key.sign(b"any bytes"), signature);
}

#[test]
fn a_command_signs_with_a_key_that_we_never_see() {
    let folder = Folder::new();
    let secret = folder.file("os.key", VERSION_1, 0o600);
    let copy = folder.path("manifest");
    let (secret, copy) = (text(&secret), text(&copy));
    let command =
        format!("cat > '{copy}' && openssl pkeyutl -sign -rawin -inkey '{secret}' -in '{copy}'");
    let signer = CommandSigner {
        command,
        public_key: PublicKey::parse(PUBLIC.as_bytes()).unwrap(),
    };
    // More than a pipe holds.
    let manifest = vec![b'm'; 65_537 * 2];
    let signature = signer.sign(&manifest).unwrap();
    assert_eq!(signature, published().sign(&manifest));
}

#[rstest]
#[case::garbage("head -c 64 /dev/zero", 64)]
#[case::nothing("cat > /dev/null", 0)]
#[case::too_much("head -c 65 /dev/zero", 65)]
#[case::reads_nothing("exec 0<&-; printf x", 1)]
#[case::never_ends("exec yes", 65)]
#[case::gives_before_it_reads("head -c 65 /dev/zero; cat > /dev/null", 65)]
fn what_a_command_gives_is_not_trusted(#[case] command: &str, #[case] length: usize) {
    let signer = CommandSigner {
        command: command.to_owned(),
        public_key: published().public_key(),
    };
    // More than a pipe holds: a command that does not read must not stop us.
    let got = signer.sign(&vec![b'm'; 1 << 20]);
    let Err(SignerError::WrongSignature { got, .. }) = got else {
        panic!("{got:?}");
    };
    assert_eq!(got, length);
}

#[test]
fn a_command_that_says_no_is_quoted() {
    let signer = CommandSigner {
        command: "exit 3".to_owned(),
        public_key: published().public_key(),
    };
    let error = signer.sign(b"m").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the signing command `exit 3` ended with exit status: 3"
    );
}

#[test]
fn a_pair_whose_public_half_is_missing_is_finished_only_where_a_run_was_killed() {
    let folder = Folder::new();
    let (secret, public) = (folder.path("os.key"), folder.path("os.pub"));
    let key = SigningKey::from_seed(&[0x5c; 32]).unwrap();
    assert!(SigningKey::finish_pair(&secret, &public).unwrap().is_none());
    key.write_pair_new(&secret, &public).unwrap();
    let whole = fs::read(&public).unwrap();
    assert!(SigningKey::finish_pair(&secret, &public).unwrap().is_none());

    // The owner has moved it away: nothing says that a run was interrupted.
    fs::remove_file(&public).unwrap();
    assert!(SigningKey::finish_pair(&secret, &public).unwrap().is_none());
    let got = key.write_pair_new(&secret, &public);
    assert!(matches!(got, Err(SecretKeyError::Exists { .. })), "{got:?}");
    assert!(!public.exists());

    // Of another pair, or half written.
    for left in [b"-----BEGIN".as_slice(), b""] {
        fs::write(folder.path(".os.pub.nx-new"), left).unwrap();
        assert!(SigningKey::finish_pair(&secret, &public).unwrap().is_none());
    }
    fs::write(folder.path(".os.pub.nx-new"), &whole).unwrap();
    let finished = SigningKey::finish_pair(&secret, &public).unwrap().unwrap();
    assert_eq!(finished.public_key(), key.public_key());
    assert_eq!(fs::read(&public).unwrap(), whole);
    assert!(!folder.path(".os.pub.nx-new").exists());
}

#[test]
fn a_pair_that_cannot_be_whole_leaves_nothing() {
    let folder = Folder::new();
    let (secret, public) = (folder.path("os.key"), folder.path("no/os.pub"));
    let key = SigningKey::from_seed(&[0x5c; 32]).unwrap();
    let got = key.write_pair_new(&secret, &public);
    assert!(matches!(got, Err(SecretKeyError::Io { .. })), "{got:?}");
    let got = key.write_pair_new(&secret, &secret);
    assert!(got.is_err(), "{got:?}");
    assert!(!secret.exists());
    assert!(!folder.path(".os.key.nx-new").exists());
}
