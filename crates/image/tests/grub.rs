//! What `examples/ab-disk/grub.cfg` makes of a disk, judged by GRUB itself: the script runs in
//! GRUB's emulator on real disks, where loading a kernel is all that is played. It has to boot
//! what [`BootRecord::choice`] says, whatever a power cut left of record and tries.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nx_image::boot_record::{
    BootRecord, RecordCopy, SECTOR_BYTES, Slot, SlotContents, Tries, newest,
};
use nx_image::build::Build;
use nx_image::manifest::{Profile, Slots};
use tempfile::TempDir;

/// The script as it is shipped, without the five seconds in which a person may read it.
fn script() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/ab-disk/grub.cfg");
    let script = fs::read_to_string(path).unwrap();
    assert!(script.contains("\nsleep 5\n"));
    script.replace("\nsleep 5\n", "\n")
}

/// Stands in for what a machine has: the place that GRUB was loaded from, and kernels that load.
/// A slot boots where its initrd is loaded; slot b may have a kernel that does not load.
const MACHINE: &str = "\
set cmdpath='(hd0,gpt1)/EFI/BOOT'
function linux {
	echo \"kernel: $1\"
	echo \"args: $2 $3 $4\"
	if test \"$nx_bad\" = \"$3\"; then false; fi
}
function initrd {
	echo \"initrd: $1\"
	exit
}
";

struct Bench {
    dir: TempDir,
    disk: File,
    /// Where the partition of the record begins.
    record: u64,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let mut build = Build::new(Profile::Dev);
        build.slots = Slots::Two;
        build.state_bytes = 1 << 20;
        for (name, input) in [
            ("esp", &mut build.bootloader),
            ("kernel", &mut build.kernel),
            ("initrd", &mut build.initrd),
        ] {
            fs::write(path(name), name.repeat(1_000)).unwrap();
            *input = Some(path(name));
        }
        let image = path("os.img");
        let report = build.write(&image, &path("os.json"), &path("os.sig"), None, &mut |_| {});
        let manifest = report.unwrap().manifest;
        let (_, record) = manifest.segment("boot-record").unwrap();
        let record = record.offset;
        fs::write(path("device.map"), format!("(hd0) {}\n", image.display())).unwrap();
        let disk = File::options().read(true).write(true).open(&image).unwrap();
        Self { dir, disk, record }
    }

    fn put(&self, at: u64, bytes: &[u8]) {
        self.disk.write_all_at(bytes, self.record + at).unwrap();
    }

    fn tries(&self) -> Option<Tries> {
        let mut bytes = [0; Tries::BYTES];
        let at = self.record + Tries::OFFSET;
        self.disk.read_exact_at(&mut bytes, at).unwrap();
        Tries::parse(&bytes).ok()
    }

    /// What GRUB prints; the kernel of the slot `bad` does not load.
    fn boot(&self, bad: Option<Slot>) -> String {
        let bad = bad.map_or(String::new(), |bad| format!("nexus.slot={bad}"));
        let config = format!("set nx_bad='{bad}'\n{MACHINE}{}", script());
        fs::write(self.dir.path().join("grub.cfg"), config).unwrap();
        let output = Command::new("grub-emu")
            .arg("--device-map")
            .arg(self.dir.path().join("device.map"))
            .arg("--directory")
            .arg(self.dir.path())
            .env("TERM", "dumb")
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("grub-emu: {error}; `cargo xtask setup` installs it"));
        String::from_utf8_lossy(&output.stdout).replace('\r', "")
    }
}

/// The values of the lines that say `name`, wherever control codes put them.
fn said<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let lines = text.lines().filter_map(|line| line.split_once(name));
    lines.map(|(_, value)| value.trim()).collect()
}

fn contents(kernel_sectors: u32) -> SlotContents {
    SlotContents {
        kernel_sectors,
        initrd_sectors: kernel_sectors + 1,
        manifest: None,
    }
}

/// Records as one follows from another, generations over the width of a digit among them.
fn life() -> Vec<BootRecord> {
    let first = BootRecord::first(contents(12));
    let vacated = first.vacated(Slot::B).unwrap();
    let trial = vacated.on_trial(Slot::B, contents(0xa0)).unwrap();
    let recovery = trial.with_recovery(true).unwrap().unwrap();
    let normal = recovery.with_recovery(false).unwrap().unwrap();
    let mut confirmed = normal.confirmed_by(Slot::B).unwrap().unwrap();
    confirmed.generation = 0xffff;
    let wanted = confirmed.with_recovery(true).unwrap().unwrap();
    let next = wanted.vacated(Slot::A).unwrap();
    let third = next.on_trial(Slot::A, contents(7)).unwrap();
    vec![
        first, vacated, trial, recovery, normal, confirmed, wanted, next, third,
    ]
}

/// Boots once, and expects what the library says of the same bytes.
fn expect_the_choice(bench: &Bench, copies: [&[u8]; 2], tries: &[u8], what: &str) {
    for (copy, bytes) in RecordCopy::ALL.into_iter().zip(copies) {
        bench.put(copy.offset(), bytes);
    }
    bench.put(Tries::OFFSET, tries);
    let before = bench.tries();
    let text = bench.boot(None);
    let Some((_, record)) = newest(copies[0], copies[1]) else {
        assert!(
            text.contains("nx: no whole boot record on hd0"),
            "{what}: {text}"
        );
        assert!(!text.contains("kernel:"), "{what}: {text}");
        return;
    };
    let choice = record.choice(before.as_ref());
    let target = ["normal", "recovery"][usize::from(choice.recovery)];
    let slot = choice.slot;
    let args = format!("nexus.target={target} nexus.slot={slot} root=PARTLABEL=rootfs-{slot}");
    assert_eq!(said(&text, "args: "), [args], "{what}: {text}");
    let held = record.contents(slot);
    let numbers = match slot {
        Slot::A => (3, 4),
        Slot::B => (7, 8),
    };
    let kernel = format!("(hd0,gpt{})0+0x{:08x}", numbers.0, held.kernel_sectors);
    let initrd = format!("(hd0,gpt{})0+0x{:08x}", numbers.1, held.initrd_sectors);
    assert_eq!(said(&text, "kernel: "), [kernel], "{what}: {text}");
    assert_eq!(said(&text, "initrd: "), [initrd], "{what}: {text}");
    assert_eq!(bench.tries(), choice.spend.or(before), "{what}: {text}");
}

#[test]
fn grub_boots_what_every_record_of_a_life_says() {
    let bench = Bench::new();
    let life = life();
    for (number, (old, new)) in life.iter().zip(&life[1..]).enumerate() {
        let (old, new) = (old.encode(), new.encode());
        let trial = BootRecord::parse(&new).unwrap().trial;
        let number_of = trial.unwrap_or(std::num::NonZeroU32::MIN);
        for left in 0..=Tries::MOST {
            let tries = Tries {
                number: number_of,
                left,
            }
            .encode();
            let what = format!("record {number}, {left} tries");
            match left % 2 {
                0 => expect_the_choice(&bench, [&old, &new], &tries, &what),
                _ => expect_the_choice(&bench, [&new, &old], &tries, &what),
            }
        }
    }
}

#[test]
fn grub_boots_the_one_before_a_torn_record() {
    let bench = Bench::new();
    let life = life();
    let none = [0; Tries::BYTES];
    // Copies are written in turn: the record before last is what a new one goes over.
    for (number, three) in life.windows(3).enumerate() {
        let [over, before, new] = [&three[0], &three[1], &three[2]].map(BootRecord::encode);
        for cut in [40, 48, 58, 70, 90, 160, 300, 340, 360] {
            let torn = [&new[..cut], &over[cut..]].concat();
            let what = format!("record {number}, torn at {cut}");
            expect_the_choice(&bench, [&torn, &before], &none, &what);
        }
    }
    let nothing = [0; SECTOR_BYTES];
    expect_the_choice(&bench, [&nothing, &nothing], &none, "nothing");
}

#[test]
fn tries_that_are_torn_or_of_another_trial_are_none() {
    let bench = Bench::new();
    let life = life();
    let (record, other) = (life[2].encode(), life[1].encode());
    let tries = Tries::all(life[2].trial.unwrap()).encode();
    let last = Tries::all(life[8].trial.unwrap()).encode();
    for cut in (512..Tries::BYTES).step_by(7).take(16) {
        let torn = [&tries[..cut], &last[cut..]].concat();
        let what = format!("tries torn at {cut}");
        expect_the_choice(&bench, [&record, &other], &torn, &what);
    }
    // Without the archive's header there is no file to count in.
    let headless = [&[0; SECTOR_BYTES], &tries[SECTOR_BYTES..]].concat();
    expect_the_choice(&bench, [&record, &other], &headless, "no header");
    expect_the_choice(&bench, [&record, &other], &last, "of another trial");
}

#[test]
fn a_slot_that_cannot_be_loaded_ends_its_trial_and_the_other_one_boots() {
    let bench = Bench::new();
    let (vacated, trial) = (life()[1], life()[2]);
    bench.put(RecordCopy::First.offset(), &vacated.encode());
    bench.put(RecordCopy::Second.offset(), &trial.encode());
    bench.put(Tries::OFFSET, &Tries::all(trial.trial.unwrap()).encode());
    let text = bench.boot(Some(Slot::B));
    let said = said(&text, "nx: slot ");
    assert_eq!(
        said,
        [
            "b is on trial, 2 tries left",
            "b, normal",
            "b cannot be loaded",
            "a, normal"
        ],
        "{text}"
    );
    assert_eq!(trial.tries_left(bench.tries().as_ref()), Some(0));
    // And so it stays, also where the kernel would load by now.
    assert!(bench.boot(None).contains("nx: slot a, normal"));
}

#[test]
fn a_confirmed_slot_that_cannot_be_loaded_leaves_the_other_one() {
    let bench = Bench::new();
    let confirmed = life()[5];
    assert!(confirmed.fallback && confirmed.slot == Slot::B);
    bench.put(RecordCopy::First.offset(), &confirmed.encode());
    bench.put(RecordCopy::Second.offset(), &[0; SECTOR_BYTES]);
    let text = bench.boot(Some(Slot::B));
    let said = said(&text, "nx: slot ");
    assert_eq!(
        said,
        ["b, normal", "b cannot be loaded", "a, normal"],
        "{text}"
    );
}
