//! Whatever either side does to the other, a transfer ends, and never in a wrong image.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::time::{Duration, Instant};

use machine::{BOOT_LIMIT, LIMIT, Lab, Machine, Nx, Release, Result, SEND_LIMIT, Sent, Setup};

const FLASHD: &str = "--board virt --profile release --layout in-place";

/// A machine, and releases so large that their transfers can be disturbed.
fn on_a_machine(scenario: impl FnOnce(&Lab, &mut Machine, &Release) -> Result<()>) {
    let mut lab = Lab::new(FLASHD).unwrap();
    lab.run(|lab| {
        let disk = lab.blank_disk("disk.img", 64)?;
        let release = lab.small_release("one", 24 << 10, 1)?;
        let mut machine = lab.recovery("rude", &disk)?;
        scenario(lab, &mut machine, &release)?;
        let manifest = release.manifest.display().to_string();
        let verify = ["verify", "--manifest", &manifest];
        Nx::flash(lab.parts(), &verify, &machine.flash_socket())?
            .wait(SEND_LIMIT)?
            .ok()?;
        machine.cut();
        // What `nx flash verify` says is one thing, what lies on the disk another.
        assert!(
            release.is_on_disk("rootfs", &disk)?,
            "the disk has other bytes"
        );
        Ok(())
    })
    .unwrap();
}

/// Waits until more than a checkpoint of the transfer is on the disk.
fn under_way(machine: &mut Machine) -> Result<()> {
    let started = Instant::now();
    while machine.monitor().disk_writes()?.bytes < 6 << 20 {
        assert!(started.elapsed() < LIMIT, "nothing is written");
        std::thread::yield_now();
    }
    Ok(())
}

#[test]
fn an_nx_that_is_killed_goes_on_where_it_stopped() {
    on_a_machine(|lab, machine, release| {
        let nx = Nx::send(lab.parts(), release, &machine.flash_socket(), &[])?;
        under_way(machine)?;
        nx.kill();
        let sent = lab.send(release, machine, &[])?;
        // 24 MiB are 384 blocks of 64 KiB: what was durable does not go again.
        assert!((1..384).contains(&sent.blocks_sent), "{sent:?}");
        Ok(())
    });
}

#[test]
fn a_second_nx_on_the_socket_is_told_so_and_disturbs_nothing() {
    on_a_machine(|lab, machine, release| {
        let socket = machine.flash_socket();
        let first = Nx::send(lab.parts(), release, &socket, &[])?;
        under_way(machine)?;
        let impatient = ["--give-up-after", "3"];
        let second = Nx::send(lab.parts(), release, &socket, &impatient)?.wait(LIMIT)?;
        let first = first.wait(SEND_LIMIT)?;
        // QEMU takes one at a time: the second hears nothing, unless the first was done by then.
        assert!(
            second.code == 0 || second.reason() == "device.silent",
            "{second:?}"
        );
        first.ok()?;
        Ok(())
    });
}

#[test]
fn a_flashd_that_is_killed_goes_on_when_it_is_back() {
    on_a_machine(|lab, machine, release| {
        let nx = Nx::send(lab.parts(), release, &machine.flash_socket(), &[])?;
        under_way(machine)?;
        machine.hand().ok("killall -9 flashd", LIMIT)?;
        nx.wait(SEND_LIMIT)?.ok()?;
        Ok(())
    });
}

#[test]
fn a_guest_that_is_busy_for_twenty_seconds_is_waited_for() {
    on_a_machine(|lab, machine, release| {
        let nx = Nx::send(lab.parts(), release, &machine.flash_socket(), &[])?;
        under_way(machine)?;
        let busy = "killall -STOP flashd && sleep 20 && killall -CONT flashd";
        machine.hand().ok(busy, LIMIT)?;
        nx.wait(SEND_LIMIT)?.ok()?;
        Ok(())
    });
}

#[test]
fn a_host_may_call_before_the_guest_boots() {
    let mut lab = Lab::new(FLASHD).unwrap();
    lab.run(|lab| {
        let disk = lab.blank_disk("disk.img", 64)?;
        let release = lab.small_release("one", 4 << 10, 1)?;
        let machine = Machine::start(lab.room(), "early", &Setup::with_disk(&disk, lab.rom("")))?;
        let patient = ["--give-up-after", "240"];
        let nx = Nx::send(lab.parts(), &release, &machine.flash_socket(), &patient)?;
        let sent = Sent::of(&nx.wait(BOOT_LIMIT + Duration::from_secs(60))?.ok()?)?;
        assert!(sent.blocks_sent > 0, "{sent:?}");
        machine.cut();
        // What `nx flash verify` says is one thing, what lies on the disk another.
        assert!(
            release.is_on_disk("rootfs", &disk)?,
            "the disk has other bytes"
        );
        Ok(())
    })
    .unwrap();
}
