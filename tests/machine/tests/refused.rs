//! What a device must not take, it refuses before its disk is touched.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;

use machine::{BOARD, Keys, LIMIT, Lab, Machine, Nx, Recipe, Release, Result, sha256};

/// One that must not be taken, and the reason that `nx` gives.
struct Bad {
    release: Release,
    reason: &'static str,
    why: &'static str,
}

#[test]
fn what_must_not_be_taken_leaves_the_disk_as_it_was() {
    let mut lab = Lab::new("--board virt --profile release --layout in-place").unwrap();
    lab.run(|lab| {
        let disk = lab.blank_disk("disk.img", 64)?;
        let good = lab.small_release("good", 2 << 10, 1)?;
        let mut machine = lab.recovery("refused", &disk)?;
        // A disk with something to lose.
        lab.send(&good, &machine, &[])?;
        for bad in bad_releases(lab)? {
            refused(lab, &mut machine, &bad, &disk)?;
        }
        // The device still serves.
        let sent = lab.send(&good, &machine, &[])?;
        assert_eq!(
            sent.blocks_sent, 0,
            "nothing of what is installed goes again"
        );
        Ok(())
    })
    .unwrap();
}

fn refused(lab: &Lab, machine: &mut Machine, bad: &Bad, disk: &std::path::Path) -> Result<()> {
    let before = (sha256(disk)?, machine.monitor().disk_writes()?);
    let nx = Nx::send(lab.parts(), &bad.release, &machine.flash_socket(), &[])?;
    let ended = nx.wait(LIMIT)?;
    assert_eq!(ended.code, 3, "{}: {ended:?}", bad.why);
    assert_eq!(ended.reason(), bad.reason, "{}: {ended:?}", bad.why);
    let after = (sha256(disk)?, machine.monitor().disk_writes()?);
    assert_eq!(before, after, "{}: the disk was written", bad.why);
    Ok(())
}

fn bad_releases(lab: &Lab) -> Result<Vec<Bad>> {
    let stranger = Keys::make(lab.room(), "stranger", lab.parts())?;
    let rootfs = lab.room().path("good.rootfs");
    let build = |name, keys, profile, board| {
        let args = vec![("--rootfs", rootfs.clone())];
        Recipe {
            name,
            keys,
            profile,
            board,
            args,
        }
        .build(lab.room(), lab.parts())
    };
    let bytes = build("bytes", lab.keys(), "release", BOARD)?;
    let mut img = fs::read(&bytes.img).unwrap();
    *img.get_mut(1_500_000).unwrap() ^= 1;
    fs::write(&bytes.img, img).unwrap();
    let manifest = build("manifest", lab.keys(), "release", BOARD)?;
    let text = fs::read_to_string(&manifest.manifest).unwrap();
    fs::write(
        &manifest.manifest,
        text.replace("\"manifest\"", "\"manifesu\""),
    )
    .unwrap();
    assert_ne!(text, fs::read_to_string(&manifest.manifest).unwrap());
    Ok(vec![
        Bad {
            release: bytes,
            reason: "source.mismatch",
            why: "a byte of the image is another one",
        },
        Bad {
            release: manifest,
            reason: "device.signature",
            why: "a byte of the manifest is another one",
        },
        Bad {
            release: build("strange", &stranger, "release", BOARD)?,
            reason: "device.signature",
            why: "a stranger signed it",
        },
        Bad {
            release: build("board", lab.keys(), "release", "rpi4")?,
            reason: "device.board",
            why: "it is for another board",
        },
        Bad {
            release: build("dev", lab.keys(), "dev", BOARD)?,
            reason: "device.profile",
            why: "it is a dev image, and this a release device",
        },
    ])
}
