//! Who gets at what: hosts at the device, others at its files, anyone at keys.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nx_flash::wire::{Deframer, Frame, FromHost, Hello, Kind, Piece, Refusal};
use processes::{Bench, Flashd, Nx, flashd_path, nx};
use rstest::rstest;

/// Everything below a folder: contents, and when and how it was last changed.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, i64, i64, u32)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = match meta.is_file() {
            true => fs::read(&path).unwrap(),
            false => Vec::new(),
        };
        let looks = (content, meta.ctime(), meta.ctime_nsec(), meta.mode());
        if meta.is_dir() {
            found.extend(snapshot(&path));
        }
        found.insert(path, looks);
    }
    found
}

fn frame(kind: Kind, session: u32, seq: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Frame::new(kind, session, seq, payload).emit(&mut out);
    out
}

/// Frames that come until one of this kind has, by kind and payload.
fn hear(stream: &mut UnixStream, wanted: Kind) -> Vec<(Kind, Vec<u8>)> {
    let mut deframer = Deframer::new();
    let mut heard = Vec::new();
    let mut bytes = [0; 4_096];
    let started = Instant::now();
    while heard.iter().all(|(kind, _)| *kind != wanted) {
        assert!(started.elapsed() < Duration::from_secs(60), "{heard:?}");
        let len = stream.read(&mut bytes).unwrap();
        assert!(len > 0, "the device hung up: {heard:?}");
        deframer.push(&bytes[..len]);
        while let Some(piece) = deframer.next_piece() {
            let Piece::Frame(frame) = piece else {
                panic!("the device said {piece:?}");
            };
            let kind = Kind::from_number(frame.kind).unwrap();
            heard.push((kind, frame.payload.to_vec()));
        }
    }
    heard
}

#[test]
fn nothing_is_served_before_a_hello() {
    let bench = Bench::new();
    let _flashd = bench.flashd();
    let before = snapshot(bench.work().root());
    let mut stream = UnixStream::connect(bench.path("s")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    // Every command, and data, in sessions that there may have been or may be next.
    for session in [0, 1, 65_536, 65_537, u32::MAX] {
        for command in [FromHost::Info, FromHost::Verify] {
            let mut body = vec![0; 4];
            command.emit(&mut body);
            stream
                .write_all(&frame(Kind::Message, session, 0, &body))
                .unwrap();
        }
        for kind in [Kind::Meta, Kind::Data, Kind::Packed, Kind::Ack, Kind::Baud] {
            let bytes = frame(kind, session, 1, &[0; 64]);
            stream.write_all(&bytes).unwrap();
        }
    }
    let hello = Hello {
        version_min: 1,
        version_max: 1,
        nonce: 42,
        codecs: 0,
        host: "test".into(),
    };
    let mut payload = Vec::new();
    hello.emit(&mut payload);
    let call = frame(Kind::Hello, 0, 0, &payload);
    stream.write_all(&call).unwrap();
    // All that it had to say to that are refusals; then it says who it is.
    let mut heard = hear(&mut stream, Kind::Welcome);
    heard.retain(|(kind, _)| *kind != Kind::Welcome);
    for (kind, payload) in &heard {
        assert_eq!(*kind, Kind::Refuse, "{heard:?}");
        assert!(Refusal::parse(payload).is_ok());
    }
    assert_eq!(snapshot(bench.work().root()), before);
}

#[test]
fn nothing_is_written_before_a_signature_that_is_trusted() {
    let bench = Bench::new();
    bench.key("other");
    bench.build("strange", 300_000, 1, &["--table", "none"], "other.key");
    fs::write(bench.path("disk.img"), "the old system").unwrap();
    let mut flashd = bench.flashd();
    let before = snapshot(bench.work().root());
    let sent = bench.send("strange", &[]);
    assert_eq!(sent.code, 3, "{sent:#?}");
    assert_eq!(sent.json()["data"]["reason"], "device.signature");
    flashd.wait_for("flashd: rejected code=signature");
    assert_eq!(snapshot(bench.work().root()), before);
}

/// Local addresses of the internet sockets of a process, as the kernel prints them.
fn addresses(pid: u32) -> Vec<String> {
    let open: Vec<PathBuf> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .collect();
    let mut found = Vec::new();
    for table in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"] {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let socket = PathBuf::from(format!("socket:[{}]", words[9]));
            if open.contains(&socket) {
                let address = words[1].split(':').next().unwrap();
                found.push(format!("{table} {address}"));
            }
        }
    }
    found
}

#[test]
fn no_network_address_is_listened_on_but_loopback_unless_told() {
    let bench = Bench::new();
    let flashd = bench.flashd();
    assert_eq!(addresses(flashd.pid()), [""; 0]);
    flashd.kill();
    let with_port = |port: &str| {
        let mut args = bench.flashd_args();
        args[1] = port.to_owned();
        args
    };
    // The kernel's own choice of a port: none that another test may have.
    let loopback = Flashd::start(with_port("tcp:127.0.0.1:0?listen"));
    assert_eq!(addresses(loopback.pid()), ["tcp 0100007F"]);
    loopback.kill();
    for everyone in ["tcp:0.0.0.0:0?listen", "tcp:[::]:0?listen"] {
        let args = with_port(everyone);
        let refused = Command::new(flashd_path()).args(&args).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{everyone}: {refused:?}");
    }
    let mut args = with_port("tcp:0.0.0.0:0?listen");
    args.push("--allow-remote".to_owned());
    let told = Flashd::start(args);
    assert_eq!(addresses(told.pid()), ["tcp 00000000"]);
}

#[test]
fn what_flashd_makes_is_its_owners_whatever_the_umask() {
    let bench = Bench::new();
    bench.image("os", 3_000_000, 1);
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "umask 0; exec \"$@\"", "sh"])
        .arg(flashd_path())
        .args(bench.flashd_args())
        .args(["--capture", &bench.path("device.pcapng")])
        .args(["--boot-record", &bench.path("next")]);
    let _flashd = Flashd::spawn(command);
    let sending = bench.start_slowly("os", &[]);
    bench.wait_for_staged(500_000);
    let staging = fs::metadata(bench.path(".disk.img.nx-staging")).unwrap();
    assert_eq!(staging.mode() & 0o077, 0, "{:o}", staging.mode());
    sending.wait().ok();
    nx(["flash", "reboot", "recovery", "--port", &bench.port()]).ok();
    for made in ["s", "journal", "device.pcapng", "disk.img", "next"] {
        let mode = fs::metadata(bench.path(made)).unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{made}: {mode:o}");
    }
    for (path, (_, _, _, mode)) in snapshot(&bench.work().path("journal")) {
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    }
}

/// The bytes that base64 text stands for.
fn from_base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'a'..=b'z' => Some(c - b'a' + 26),
        b'0'..=b'9' => Some(c - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits: Vec<u8> = text.bytes().filter_map(digit).collect();
    let bits = |chunk: &[u8]| {
        chunk
            .iter()
            .fold(0_u32, |bits, d| (bits << 6) | u32::from(*d))
    };
    digits
        .chunks(4)
        .flat_map(|chunk| {
            let bits = bits(chunk) << (6 * (4 - chunk.len()));
            bits.to_be_bytes()[1..chunk.len()].to_vec()
        })
        .collect()
}

/// A private key in each of the forms that it could leak in.
fn forms(pem: &str) -> Vec<Vec<u8>> {
    let body: String = pem.lines().filter(|line| !line.contains("---")).collect();
    let der = from_base64(&body);
    let seed = der[der.len() - 32..].to_vec();
    let hex: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
    vec![
        // Three letters in, so that the fixed front of every key does not count.
        body.as_bytes()[24..56].to_vec(),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
        seed,
    ]
}

#[test]
fn a_private_key_is_in_no_output_argument_capture_or_image() {
    let bench = Bench::new();
    let pem = fs::read_to_string(bench.path("dev.key")).unwrap();
    let forms = forms(&pem);
    let leaks = |bytes: &[u8]| {
        let holds = |form: &Vec<u8>| bytes.windows(form.len()).any(|window| window == form);
        forms.iter().any(holds)
    };
    assert!(
        leaks(pem.as_bytes()),
        "what is looked for is in the key's own file"
    );
    bench.image("os", 3_000_000, 1);
    let mut args = bench.flashd_args();
    args.extend(["--capture".to_owned(), bench.path("device.pcapng")]);
    let flashd = Flashd::start(args);
    let capture = bench.path("host.pcapng");
    let events = bench.path("events");
    let sending = bench.start_slowly("os", &["--capture", &capture, "--events", &events]);
    bench.wait_for_staged(500_000);
    for pid in [flashd.pid(), sending.pid()] {
        for told in ["cmdline", "environ"] {
            let told = fs::read(format!("/proc/{pid}/{told}")).unwrap();
            assert!(!leaks(&told), "process {pid}");
        }
    }
    let mut said = vec![sending.wait().ok()];
    // Ways to go wrong with a key in hand: as a public one, cut short, and twice.
    let cut = bench.path("cut.key");
    fs::write(&cut, &pem[..pem.len() - 40]).unwrap();
    Command::new("chmod").args(["600", &cut]).status().unwrap();
    for (flag, key) in [("--pub", bench.path("dev.key")), ("--sign", cut.clone())] {
        let mut args = bench.build_args("bad", "os.pkgfs", "dev.key");
        args.extend([flag.to_owned(), key]);
        said.push(nx(&args));
    }
    let verify = ["image", "verify", &bench.path("os.img"), "--pub", &cut];
    said.push(nx(verify));
    for ran in said {
        assert!(!leaks(ran.stdout.as_bytes()), "{ran:#?}");
        assert!(!leaks(ran.stderr.as_bytes()), "{ran:#?}");
    }
    flashd.kill();
    for (path, (content, ..)) in snapshot(bench.work().root()) {
        let is_key = path.extension().is_some_and(|end| end == "key");
        assert!(is_key || !leaks(&content), "{}", path.display());
    }
}

#[rstest]
#[case("0000000000000000000000000000000000000000000000000000000000000000")]
#[case("0100000000000000000000000000000000000000000000000000000000000000")]
#[case("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")]
#[case("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")]
#[case("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")]
fn a_key_that_fits_any_signature_is_taken_by_neither(#[case] digits: &str) {
    let bench = Bench::new();
    bench.image("os", 100_000, 1);
    fs::write(bench.path("weak.pub"), digits).unwrap();
    let weak = bench.path("weak.pub");
    let mut args = bench.send_args("os", "loopback:x");
    args.extend(["--pub".to_owned(), weak.clone()]);
    let sent = Nx::start(args).wait();
    assert_eq!(sent.code, 3, "{sent:#?}");
    assert_eq!(sent.json()["data"]["reason"], "key.invalid");
    let mut args = bench.flashd_args();
    args[7] = weak;
    let flashd = Command::new(flashd_path()).args(args).output().unwrap();
    assert_eq!(flashd.status.code(), Some(3), "{flashd:?}");
}
