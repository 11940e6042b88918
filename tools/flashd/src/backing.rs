//! What images are installed to: files, or a disk with two slots.

use std::fs;

use nx_flash::storage::{AbConfig, AbStore, FileStore, FileStoreConfig, Running, Store};
use nx_image::boot_record::Slot;

use crate::args::{Args, LayoutArg};
use crate::error::FlashdError;

/// The kernel's command line, on which a boot loader says what it started.
const COMMAND_LINE: &str = "/proc/cmdline";

/// A store that is open.
#[derive(Debug)]
pub(crate) struct Backing {
    pub(crate) store: Box<dyn Store>,
    /// The number of this boot.
    pub(crate) boot: u32,
    /// The slot that runs again, because the one on trial has no tries left.
    pub(crate) fell_back: Option<Slot>,
}

/// Opens the store that the command line asks for.
pub(crate) fn open(args: &Args) -> Result<Backing, FlashdError> {
    let journal = args.journal.clone().unwrap_or_default();
    let target = args.target.clone();
    if args.layout == Some(LayoutArg::Ab) {
        let running = running(args.slot);
        let opened = AbStore::open(&AbConfig {
            target,
            journal,
            running,
        })?;
        return Ok(Backing {
            boot: opened.boot,
            fell_back: opened.fell_back,
            store: Box::new(opened),
        });
    }
    if args.slot.is_some() {
        return Err(FlashdError::NotAb);
    }
    let store = FileStore::open(&FileStoreConfig {
        target,
        journal,
        layout: args.layout.and_then(LayoutArg::of_files),
        boot_record: args.boot_record.clone(),
    })?;
    Ok(Backing {
        boot: store.boot(),
        fell_back: None,
        store: Box::new(store),
    })
}

/// Says on the disk that the running system is good; gives its slot.
pub(crate) fn confirm(args: &Args) -> Result<Slot, FlashdError> {
    if args.layout != Some(LayoutArg::Ab) {
        return Err(FlashdError::NotAb);
    }
    let mut opened = AbStore::open_to_confirm(&args.target, running(args.slot))?;
    Ok(opened.store.confirm()?.slot)
}

/// What runs, by the kernel's command line; `slot` is said instead.
fn running(slot: Option<Slot>) -> Running {
    let line = fs::read_to_string(COMMAND_LINE).unwrap_or_default();
    let running = on_command_line(&line);
    Running {
        slot: slot.or(running.slot),
        ..running
    }
}

fn on_command_line(line: &str) -> Running {
    // Of what is said twice the last counts, as for the kernel.
    let value = |name: &str| {
        let words = line.split_ascii_whitespace().rev();
        words.filter_map(|word| word.strip_prefix(name)).next()
    };
    Running {
        slot: value("nexus.slot=").and_then(|slot| slot.parse().ok()),
        recovery: value("nexus.target=") == Some("recovery"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_loader_says_on_the_command_line_what_it_started() {
        for (line, slot, recovery) in [
            (
                "nexus.target=normal nexus.slot=a root=x\n",
                Some(Slot::A),
                false,
            ),
            (
                "quiet nexus.target=recovery nexus.slot=b",
                Some(Slot::B),
                true,
            ),
            ("nexus.slot=a nexus.slot=b", Some(Slot::B), false),
            ("xnexus.slot=a nexus.slot=c root=y", None, false),
            ("", None, false),
        ] {
            assert_eq!(on_command_line(line), Running { slot, recovery }, "{line}");
        }
    }
}
