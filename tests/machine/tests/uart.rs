//! The same transfer over a UART that is the kernel's console too.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;

use machine::{BOOT_LIMIT, LIMIT, Lab, Machine, Nx, SEND_LIMIT, Setup, Uart};

/// What the kernel is made to say during the transfer.
const SAYINGS: u32 = 40;

#[test]
fn an_image_arrives_whole_between_the_lines_of_a_console() {
    let mut lab = Lab::new("--board virt --profile release --layout in-place").unwrap();
    lab.run(|lab| {
        let disk = lab.blank_disk("disk.img", 64)?;
        let release = lab.small_release("one", 512, 1)?;
        let mut setup = Setup::with_disk(&disk, lab.rom("nexus.port=/dev/ttyS0"));
        setup.uart = Uart::Socket;
        let mut machine = Machine::start(lab.room(), "uart", &setup)?;
        machine
            .hand()
            .ok("until pidof flashd; do usleep 100000; done", BOOT_LIMIT)?;

        let events = lab.room().path("events.jsonl");
        let events_arg = events.display().to_string();
        let socket = machine.uart_socket();
        let nx = Nx::send(lab.parts(), &release, &socket, &["--events", &events_arg])?;
        // Until the transfer is over: a fixed number at once could all fall before its start.
        let say = format!(
            "n=0; while [ $n -lt {SAYINGS} ]; do \
             echo '<2>kernel message '$n > /dev/kmsg; n=$((n + 1)); usleep 100000; done"
        );
        machine.hand().ok(&say, SEND_LIMIT)?;
        nx.wait(SEND_LIMIT)?.ok()?;

        let manifest = release.manifest.display().to_string();
        Nx::flash(lab.parts(), &["verify", "--manifest", &manifest], &socket)?
            .wait(LIMIT)?
            .ok()?;
        drop(machine);
        assert!(
            release.is_on_disk("rootfs", &disk)?,
            "the disk has other bytes"
        );
        let events = fs::read_to_string(&events).unwrap();
        let heard = events
            .lines()
            .filter(|line| line.contains("kernel message"));
        assert!(heard.count() > 0, "no line of the console in {events}");
        Ok(())
    })
    .unwrap();
}
