//! The machine's serial ports, and what is in the way of each.

use std::fs;
use std::path::Path;

use serialport::SerialPortType;

use crate::TransportError;
pub use crate::holders::Holder;
use crate::holders::{group_let_in, holders};

/// A serial port or virtio port of this machine. Texts hold no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Port {
    /// What to open: `/dev/ttyUSB0`.
    pub path: String,
    /// A name that stays when devices are plugged in another order, when there is one.
    pub stable_path: Option<String>,
    /// What it hangs on.
    pub kind: PortKind,
    /// What keeps this user from opening it; empty when nothing is known to.
    pub in_the_way: Vec<Hindrance>,
}

/// What a port hangs on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PortKind {
    /// A USB adapter or board.
    Usb {
        /// Vendor id.
        vendor_id: u16,
        /// Product id.
        product_id: u16,
        /// As the device says it.
        manufacturer: Option<String>,
        /// As the device says it.
        product: Option<String>,
        /// As the device says it.
        serial_number: Option<String>,
    },
    /// A card or a chip on the PCI bus.
    Pci,
    /// A Bluetooth serial link.
    Bluetooth,
    /// A virtio port, seen from inside a guest.
    Virtio {
        /// As the host names it: `com.nexus.flash`.
        name: String,
    },
    /// Built in, or unknown.
    Other,
}

/// What keeps a user from opening a port.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hindrance {
    /// The file's mode.
    Permission {
        /// The group whose members may, when the mode says so.
        group: Option<String>,
    },
    /// Other processes have it open.
    Busy {
        /// Those that this user may see.
        by: Vec<Holder>,
    },
}

/// Lists the machine's ports by path. Pseudo-terminals are not listed.
///
/// # Errors
/// `Io` when the system does not tell.
pub fn list() -> Result<Vec<Port>, TransportError> {
    let found = serialport::available_ports().map_err(|error| {
        TransportError::io("listing", "serial ports", std::io::Error::from(error))
    })?;
    let mut ports: Vec<Port> = found
        .into_iter()
        .map(|port| describe(clean(&port.port_name), kind(port.port_type)))
        .collect();
    ports.extend(virtio(Path::new("/sys/class/virtio-ports")));
    ports.sort_by(|a, b| a.path.cmp(&b.path));
    ports.dedup_by(|a, b| a.path == b.path);
    Ok(ports)
}

fn describe(path: String, kind: PortKind) -> Port {
    let file = Path::new(&path);
    let mut in_the_way = Vec::new();
    let read_write = rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK;
    if rustix::fs::access(file, read_write) == Err(rustix::io::Errno::ACCESS) {
        in_the_way.push(Hindrance::Permission {
            group: group_let_in(file),
        });
    }
    let by = holders(file);
    if !by.is_empty() {
        in_the_way.push(Hindrance::Busy { by });
    }
    let stable_path = stable_path(file);
    Port {
        path,
        stable_path,
        kind,
        in_the_way,
    }
}

fn kind(reported: SerialPortType) -> PortKind {
    match reported {
        SerialPortType::UsbPort(usb) => PortKind::Usb {
            vendor_id: usb.vid,
            product_id: usb.pid,
            manufacturer: usb.manufacturer.as_deref().map(clean),
            product: usb.product.as_deref().map(clean),
            serial_number: usb.serial_number.as_deref().map(clean),
        },
        SerialPortType::PciPort => PortKind::Pci,
        SerialPortType::BluetoothPort => PortKind::Bluetooth,
        SerialPortType::Unknown => PortKind::Other,
    }
}

/// The name under which udev keeps pointing at this device.
fn stable_path(file: &Path) -> Option<String> {
    let file = file.canonicalize().ok()?;
    let mut names: Vec<String> = fs::read_dir("/dev/serial/by-id")
        .ok()?
        .flatten()
        .filter(|link| {
            link.path()
                .canonicalize()
                .is_ok_and(|target| target == file)
        })
        .map(|link| clean(&link.path().to_string_lossy()))
        .collect();
    names.sort();
    names.into_iter().next()
}

fn virtio(class: &Path) -> Vec<Port> {
    let entries = fs::read_dir(class).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = fs::read_to_string(entry.path().join("name")).ok()?;
            let path = format!("/dev/{}", entry.file_name().to_string_lossy());
            Some(describe(
                clean(&path),
                PortKind::Virtio {
                    name: clean(name.trim_end()),
                },
            ))
        })
        .collect()
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_free_of_pseudo_terminals() {
        let (_master, path) = crate::pty::open().unwrap();
        let ports = list().unwrap();
        assert!(ports.is_sorted_by(|a, b| a.path < b.path));
        assert!(ports.iter().all(|port| Path::new(&port.path) != path));
    }

    #[test]
    fn a_port_that_is_open_is_busy_and_by_whom() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let port = describe(file.path().to_string_lossy().into_owned(), PortKind::Other);
        let [Hindrance::Busy { by }] = port.in_the_way.as_slice() else {
            panic!("{port:?}");
        };
        assert_eq!(by[0].pid, std::process::id());
    }

    #[test]
    fn virtio_ports_are_found_by_their_name() {
        let class = tempfile::tempdir().unwrap();
        fs::create_dir(class.path().join("vport0p1")).unwrap();
        fs::write(
            class.path().join("vport0p1/name"),
            "com.nexus\u{1b}.flash\n",
        )
        .unwrap();
        let ports = virtio(class.path());
        assert_eq!(ports[0].path, "/dev/vport0p1");
        assert_eq!(
            ports[0].kind,
            PortKind::Virtio {
                name: "com.nexus.flash".to_owned()
            }
        );
    }

    #[test]
    fn what_a_device_says_of_itself_is_cleaned() {
        assert_eq!(clean("a\u{1b}[2Jb\n"), "a[2Jb");
    }
}
