//! One virtual machine, from power on to power off.

use std::{
    fs::File,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::channel,
    thread,
    time::{Duration, Instant},
};

use crate::{
    console::Console,
    error::{MachineError, Result},
    hand::{self, Hand},
    monitor::Monitor,
    room::Room,
};

/// Name of the port that `flashd` serves, in the guest.
pub(crate) const FLASH_PORT: &str = "com.nexus.flash";

/// How long QEMU may take to make its sockets on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often QEMU is asked whether it has ended instead.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Where the system comes from at power on.
#[derive(Debug, Clone)]
pub enum Boot {
    /// A boot ROM brings kernel and initrd from outside, as a board with nothing on its disk needs.
    Rom {
        /// The kernel.
        kernel: PathBuf,
        /// The recovery initramfs.
        initrd: PathBuf,
        /// Command line beside what every machine has.
        append: String,
    },
    /// UEFI firmware finds a boot loader on the disk.
    Disk {
        /// The firmware's code.
        code: PathBuf,
        /// The firmware's variables, which it writes.
        vars: PathBuf,
    },
}

/// What is at the other end of the first UART.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Uart {
    /// We listen: [`Machine::console`].
    #[default]
    Console,
    /// A unix socket, [`Machine::uart_socket`], for whoever connects.
    Socket,
}

/// A machine to be switched on.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The disk, as the options of `-blockdev` that come after `node-name=disk,`.
    pub disk: String,
    /// Where the system comes from.
    pub boot: Boot,
    /// What is at the first UART.
    pub uart: Uart,
    /// Whether a restart of the guest ends QEMU.
    pub ends_at_reboot: bool,
}

impl Setup {
    /// A machine with a raw file as its disk.
    ///
    /// What QEMU has said to be written is in the host's page cache at least, so that a SIGKILL of
    /// QEMU loses what the guest has not written, or is being written, and nothing else.
    #[must_use]
    pub fn with_disk(disk: &Path, boot: Boot) -> Self {
        Self {
            disk: format!("driver=file,filename={}", disk.display()),
            ends_at_reboot: matches!(boot, Boot::Rom { .. }),
            boot,
            uart: Uart::Console,
        }
    }
}

/// A machine that is on; it is off when this is gone.
#[derive(Debug)]
pub struct Machine {
    child: Child,
    console: Console,
    hand: Hand,
    monitor: Monitor,
    sockets: PathBuf,
}

impl Machine {
    /// Switches a machine on. Sockets and logs lie in `room` under `name`, which is that of one
    /// machine at a time; of several runs each has a log.
    ///
    /// # Errors
    /// [`MachineError::Io`] and [`MachineError::Late`] if QEMU does not run.
    pub fn start(room: &Room, name: &str, setup: &Setup) -> Result<Self> {
        let sockets = room.path(name);
        for socket in ["flash", "hand", "qmp", "uart"] {
            // Of the machine before this one.
            let _ = std::fs::remove_file(end(&sockets, socket));
        }
        let stderr = end(&sockets, "qemu.log");
        let log = File::create(&stderr).map_err(MachineError::io("create", &stderr))?;
        let qmp = end(&sockets, "qmp");
        let monitor = UnixListener::bind(&qmp).map_err(MachineError::io("listen at", &qmp))?;
        // A harness that is killed takes its machine with it.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "qemu-system-x86_64"])
            .args(arguments(setup, &sockets))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(MachineError::io("start", "qemu-system-x86_64"))?;
        let made = attach(&mut child, monitor, &sockets, room, name);
        match made {
            Ok((console, hand, monitor)) => Ok(Self {
                child,
                console,
                hand,
                monitor,
                sockets,
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// What it says.
    #[must_use]
    pub const fn console(&self) -> &Console {
        &self.console
    }

    /// A shell in the guest.
    pub const fn hand(&mut self) -> &mut Hand {
        &mut self.hand
    }

    /// QEMU's monitor.
    pub const fn monitor(&mut self) -> &mut Monitor {
        &mut self.monitor
    }

    /// The socket of the virtio-serial port that `flashd` serves.
    #[must_use]
    pub fn flash_socket(&self) -> PathBuf {
        end(&self.sockets, "flash")
    }

    /// The socket at the first UART, of a machine with [`Uart::Socket`].
    #[must_use]
    pub fn uart_socket(&self) -> PathBuf {
        end(&self.sockets, "uart")
    }

    /// Waits for QEMU to end by itself.
    ///
    /// # Errors
    /// [`MachineError::Late`], [`MachineError::Io`].
    pub fn wait_for_end(mut self, limit: Duration) -> Result<ExitStatus> {
        self.console.wait_for_end(limit)?;
        self.child
            .wait()
            .map_err(MachineError::io("wait for", "QEMU"))
    }

    /// Cuts the power: SIGKILL, and nothing gets a chance to be written.
    pub fn cut(self) {
        drop(self);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn attach(
    child: &mut Child,
    monitor: UnixListener,
    sockets: &Path,
    room: &Room,
    name: &str,
) -> Result<(Console, Hand, Monitor)> {
    let stdout = child.stdout.take().ok_or_else(|| {
        MachineError::broken("QEMU has a standard output", "it is not a pipe".to_owned())
    })?;
    let console = Console::follow(stdout, &unused_log(room, name))?;
    let Some(monitor) = calls(child, monitor)? else {
        return Err(not_started(sockets));
    };
    let monitor = Monitor::over(monitor, &end(sockets, "qmp"))?;
    let hand = Hand::take(&end(sockets, "hand"))?;
    Ok((console, hand, monitor))
}

/// Waits for QEMU to call the monitor's socket; `None` if it has ended instead.
fn calls(child: &mut Child, monitor: UnixListener) -> Result<Option<UnixStream>> {
    let (sender, called) = channel();
    // If QEMU never calls, the thread waits until we end.
    thread::spawn(move || sender.send(monitor.accept()));
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        match called.recv_timeout(LOOK_EVERY) {
            Ok(stream) => {
                let (stream, _) = stream.map_err(MachineError::io("accept", "QEMU"))?;
                return Ok(Some(stream));
            }
            Err(_) => {
                let ended = child.try_wait();
                if ended
                    .map_err(MachineError::io("wait for", "QEMU"))?
                    .is_some()
                {
                    return Ok(None);
                }
            }
        }
    }
    Ok(None)
}

fn not_started(sockets: &Path) -> MachineError {
    let said = std::fs::read_to_string(end(sockets, "qemu.log")).unwrap_or_default();
    MachineError::broken("QEMU starts", said.trim().to_owned())
}

/// `ROOM/NAME.N.log` with the first number that is free.
fn unused_log(room: &Room, name: &str) -> PathBuf {
    let log = |number: u32| room.path(&format!("{name}.{number}.log"));
    (0..u32::MAX)
        .map(log)
        .find(|path| !path.exists())
        .unwrap_or_else(|| log(u32::MAX))
}

/// `ROOM/NAME.WHAT`.
fn end(sockets: &Path, what: &str) -> PathBuf {
    sockets.with_extension(what)
}

/// The command line.
fn arguments(setup: &Setup, sockets: &Path) -> Vec<String> {
    let socket = |id: &str| {
        let path = end(sockets, id);
        format!("socket,id={id},path={},server=on,wait=off", path.display())
    };
    let port = |id: &str, number: u8, name: &str| {
        format!("virtserialport,chardev={id},nr={number},name={name}")
    };
    let mut words: Vec<String> = Vec::new();
    let mut add = |option: &str, value: String| words.extend([option.to_owned(), value]);
    add("-machine", "q35,accel=tcg".to_owned());
    add("-smp", "2".to_owned());
    add("-m", "512".to_owned());
    add("-display", "none".to_owned());
    add("-blockdev", format!("node-name=disk,{}", setup.disk));
    add("-chardev", socket("flash"));
    add("-chardev", socket("hand"));
    add("-device", "virtio-serial-pci".to_owned());
    add("-device", port("flash", 1, FLASH_PORT));
    add("-device", port("hand", 2, hand::PORT));
    // After the ports: Linux numbers virtio devices, and with them the ports, as they come.
    add("-device", "virtio-blk-pci,id=disk,drive=disk".to_owned());
    match setup.uart {
        Uart::Console => add("-chardev", "stdio,id=uart,signal=off".to_owned()),
        Uart::Socket => add("-chardev", socket("uart")),
    }
    add("-serial", "chardev:uart".to_owned());
    match &setup.boot {
        Boot::Rom {
            kernel,
            initrd,
            append,
        } => {
            add("-kernel", kernel.display().to_string());
            add("-initrd", initrd.display().to_string());
            add("-append", format!("console=ttyS0 {append}"));
        }
        Boot::Disk { code, vars } => {
            let flash = |unit: u8, file: &Path, more: &str| {
                let file = file.display();
                format!("if=pflash,format=raw,unit={unit},file={file}{more}")
            };
            add("-drive", flash(0, code, ",readonly=on"));
            add("-drive", flash(1, vars, ""));
        }
    }
    // It calls us, last of all: then its other sockets are there.
    add("-qmp", format!("unix:{}", end(sockets, "qmp").display()));
    let mut switches = vec!["-nodefaults".to_owned(), "-no-user-config".to_owned()];
    if setup.ends_at_reboot {
        switches.push("-no-reboot".to_owned());
    }
    switches.extend(words);
    switches
}
