//! A transfer beside the plainest one there is: `socat` into `dd` through the same port.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    digest::sha256,
    error::{MachineError, Result},
    lab::{BOARD, BOOT_LIMIT, LIMIT, Lab, SEND_LIMIT},
    qemu::{Machine, Setup},
    release::{Recipe, Release},
    report::line,
    tree::Tree,
};

/// The most that `nx flash send` may take, as a multiple of the other's time.
const RATIO_MAX: f64 = 1.5;
/// How many times each is timed; the fastest counts, because what else runs only ever adds.
const ROUNDS: u32 = 3;
const DISK_MIB: u32 = 192;

/// Times both, prints the ratio.
///
/// Either begins with the host's command and ends when the disk holds the image and that is
/// known: `nx` by its read-back and install, the other by `sync` and `sha256sum` of as many bytes
/// of the disk. The image is a kernel and a root file system, as a release has them.
///
/// # Errors
/// [`MachineError::Broken`] if the ratio is above the most that it may be.
pub fn compare() -> Result<()> {
    let mut lab = Lab::new("--board virt --profile release --layout in-place")?;
    lab.run(|lab| {
        let marker = "not to be booted";
        let root = lab.room().path("system");
        let rootfs = Tree::system(&root, lab.parts(), &lab.keys().public, marker, true)?;
        let release = Recipe {
            name: "1.0.0",
            keys: lab.keys(),
            profile: "release",
            board: BOARD,
            args: vec![
                ("--kernel", lab.parts().kernel()),
                ("--rootfs", rootfs.root().to_owned()),
            ],
        }
        .build(lab.room(), lab.parts())?;
        let mib = release.bytes()? as f64 / f64::from(1 << 20);
        line(&format!("image of {mib:.1} MiB, best of {ROUNDS} each"));
        let (mut ours, mut plain) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            ours = ours.min(by_nx(lab, &release)?);
            plain = plain.min(by_dd(lab, &release)?);
        }
        let ratio = ours.as_secs_f64() / plain.as_secs_f64();
        let rate = |time: Duration| {
            format!(
                "{:.2} s, {:.1} MiB/s",
                time.as_secs_f64(),
                mib / time.as_secs_f64()
            )
        };
        line(&format!(
            "nx flash send, start to installed: {}",
            rate(ours)
        ));
        line(&format!(
            "socat | dd, sync, sha256sum:       {}",
            rate(plain)
        ));
        line(&format!("ratio: {ratio:.2} (at most {RATIO_MAX})"));
        if ratio > RATIO_MAX {
            return Err(MachineError::broken(
                "nx is as fast as that",
                format!("{ratio:.2}"),
            ));
        }
        Ok(())
    })
}

fn by_nx(lab: &Lab, release: &Release) -> Result<Duration> {
    let disk = lab.blank_disk("disk.img", DISK_MIB)?;
    let machine = lab.recovery("nx", &disk)?;
    let started = Instant::now();
    lab.send(release, &machine, &[])?;
    Ok(started.elapsed())
}

fn by_dd(lab: &Lab, release: &Release) -> Result<Duration> {
    let disk = lab.blank_disk("disk.img", DISK_MIB)?;
    let setup = Setup::with_disk(&disk, lab.rom("nexus.port=/dev/null"));
    let mut machine = Machine::start(lab.room(), "dd", &setup)?;
    let hand = machine.hand();
    hand.ok("mount -t debugfs debugfs /sys/kernel/debug", BOOT_LIMIT)?;
    hand.ok(
        "port=/sys/kernel/debug/virtio-ports/vport0p1; cat $port",
        LIMIT,
    )?;
    let bytes = release.bytes()?;
    let want = sha256(&release.img)?;
    // `head` ends the stream: nobody else would know that the image is whole.
    let receive = format!(
        // Before the host is there a read ends at once.
        "until grep -q 'host_connected: 1' $port; do usleep 1000; done; \
         head -c {bytes} < /dev/vport0p1 | dd of=/dev/vda bs=1M iflag=fullblock 2>/dev/null && \
         sync && head -c {bytes} /dev/vda | sha256sum"
    );
    let socket = machine.flash_socket();
    let started = Instant::now();
    let socat = Socat::start(&release.img, &socket)?;
    let said = machine.hand().ok(&receive, SEND_LIMIT)?;
    let took = started.elapsed();
    drop(socat);
    if said.starts_with(&want) {
        return Ok(took);
    }
    Err(MachineError::broken("the plain transfer is whole", said))
}

/// A running `socat`, which is killed when this is gone.
///
/// It keeps its end open: QEMU drops what it has not read yet when the other side closes.
struct Socat(Child);

impl Socat {
    fn start(image: &Path, socket: &Path) -> Result<Self> {
        Command::new("socat")
            .args(["-u", "-b65536"])
            .arg(format!("FILE:{},ignoreeof", image.display()))
            .arg(format!("UNIX-CONNECT:{}", socket.display()))
            .stdin(Stdio::null())
            .spawn()
            .map(Self)
            .map_err(MachineError::io("start", "socat"))
    }
}

impl Drop for Socat {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
