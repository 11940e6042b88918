use clap::Args;
use nx_flash::host::{Event, Job};
use nx_flash::wire::{DeviceInfo, SlotsInfo};
use nx_image::Digest;
use nx_image::boot_record::Slot;
use serde_json::{Value, json};

use super::device_port::DevicePort;
use super::session;
use crate::cli::Ran;
use crate::error::NxError;
use crate::interrupt::Interrupt;
use crate::output::{Outcome, Ui};
use crate::reason::Reason;
use crate::size::size;

/// Ask a device what it is, what it has installed, and whose images it takes
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    port: DevicePort,
}

const EXAMPLES: &str = "\
Examples:
  nx flash info --port /dev/ttyUSB0
  nx flash info --port unix:/tmp/qemu-vserial --json";

pub(crate) fn run(args: &InfoArgs, ui: &mut Ui) -> Ran {
    args.port.spec()?;
    let interrupt = Interrupt::watch()?;
    let ended = session::run(&args.port, &[], Job::Info, None, &interrupt, ui)?;
    let Event::Info(info, slots) = ended.result? else {
        let text = "the device answered something else than was asked";
        return Err(NxError::new(Reason::DeviceProtocol, text));
    };
    if !args.port.options.events_to_stdout() {
        let slots = slots.as_deref().map(slot_rows).unwrap_or_default();
        for (name, value) in rows(&info).into_iter().chain(slots) {
            ui.line(format!("{name:<10} {value}"))?;
        }
    }
    Ok(Outcome::new("").data(facts(&info, slots.as_deref())))
}

/// Most keys that a device can name: `docs/provisioning/protocol.md`, "Messages".
const KEYS_MAX: usize = 8;

const fn may_trust_more(info: &DeviceInfo) -> bool {
    info.keys.len() >= KEYS_MAX
}

fn rows(info: &DeviceInfo) -> Vec<(&'static str, String)> {
    let none = || "-".to_owned();
    let or_none = |text: &str| if text.is_empty() { none() } else { text.into() };
    let installed = match info.installed {
        Some(digest) => {
            let version = or_none(&info.installed_version);
            format!("version {version}, manifest {digest}")
        }
        None => "nothing".to_owned(),
    };
    // What is staged of the image that is installed by now is no transfer to go on with.
    let staged = match info.staged.filter(|_| info.staged != info.installed) {
        Some(digest) => format!("an interrupted transfer of manifest {digest}"),
        None => none(),
    };
    let mut rows = vec![
        ("agent", or_none(&info.agent)),
        ("board", or_none(&info.board)),
        ("profile", info.profile.to_string()),
        ("boot", info.boot.to_string()),
        ("installed", installed),
        ("staged", staged),
        ("capacity", size(info.capacity)),
        ("layout", or_none(&info.layout)),
    ];
    rows.extend(info.keys.iter().map(|key| ("trusts", key.clone())));
    if may_trust_more(info) {
        let text = format!("perhaps more: a device names {KEYS_MAX} keys at most");
        rows.push(("trusts", text));
    }
    rows
}

/// What a disk with two slots is at.
fn slot_rows(slots: &SlotsInfo) -> Vec<(&'static str, String)> {
    let next = slots.next.as_str();
    [Slot::A, Slot::B]
        .into_iter()
        .map(|slot| {
            let mut words = vec![standing(slots, slot)];
            if slots.running == Some(slot) {
                words.push("runs".to_owned());
            }
            if slots.boots == slot {
                words.push(format!("boots next ({next})"));
            }
            let holds = match slots.manifest(slot) {
                Some(digest) => format!("manifest {digest}"),
                None => "no known manifest".to_owned(),
            };
            let name = if slot == Slot::A { "slot a" } else { "slot b" };
            (name, format!("{}: {holds}", words.join(", ")))
        })
        .collect()
}

/// Whether a slot is known to be good.
fn standing(slots: &SlotsInfo, slot: Slot) -> String {
    if slot == slots.confirmed {
        return "confirmed".to_owned();
    }
    match slots.tries {
        Some(1) => "on trial, 1 try left".to_owned(),
        Some(tries) => format!("on trial, {tries} tries left"),
        None if slots.fallback => "confirmed before".to_owned(),
        None => "not bootable".to_owned(),
    }
}

fn slot_facts(slots: &SlotsInfo) -> Value {
    let manifest = |slot| slots.manifest(slot).map(|digest| digest.to_string());
    json!({
        "running": slots.running.map(Slot::as_str),
        "confirmed": slots.confirmed.as_str(),
        "boots": slots.boots.as_str(),
        "next_boot": slots.next.as_str(),
        "trial": slots.tries.is_some(),
        "tries": slots.tries,
        "fallback": slots.fallback,
        "a_manifest_sha256": manifest(Slot::A),
        "b_manifest_sha256": manifest(Slot::B),
    })
}

fn facts(info: &DeviceInfo, slots: Option<&SlotsInfo>) -> Value {
    let text = |digest: Option<Digest>| digest.map(|digest| digest.to_string());
    json!({
        "slots": slots.map(slot_facts),
        "agent": info.agent,
        "board": info.board,
        "profile": info.profile.as_str(),
        "boot": info.boot,
        "installed_manifest_sha256": text(info.installed),
        "installed_version": info.installed_version,
        "staged_manifest_sha256": text(info.staged),
        "capacity_bytes": info.capacity,
        "layout": info.layout,
        "keys": info.keys,
        "keys_may_be_more": may_trust_more(info),
    })
}

#[cfg(test)]
mod tests {
    use nx_image::Profile;

    use super::*;

    fn info() -> DeviceInfo {
        DeviceInfo {
            agent: "flashd 0.1.0".into(),
            board: String::new(),
            profile: Profile::Release,
            boot: 3,
            installed: None,
            installed_version: String::new(),
            staged: Some(Digest::of(b"")),
            capacity: 1 << 30,
            layout: "file".into(),
            keys: vec!["ab".into(), "cd".into()],
        }
    }

    #[test]
    fn a_device_that_cannot_name_all_its_keys_is_not_taken_to_have() {
        let mut info = DeviceInfo {
            keys: vec!["ab".into(); KEYS_MAX - 1],
            ..info()
        };
        let last = |info: &DeviceInfo| rows(info).pop().unwrap().1;
        assert_eq!(last(&info), "ab");
        assert_eq!(facts(&info, None)["keys_may_be_more"], false);
        info.keys.push("cd".into());
        assert!(last(&info).starts_with("perhaps more"), "{}", last(&info));
        assert_eq!(facts(&info, None)["keys_may_be_more"], true);
    }

    #[test]
    fn what_a_device_has_is_told_a_line_each() {
        let info = info();
        let told: Vec<String> = rows(&info)
            .into_iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let staged = format!(
            "staged: an interrupted transfer of manifest {}",
            Digest::of(b"")
        );
        assert_eq!(
            told,
            [
                "agent: flashd 0.1.0",
                "board: -",
                "profile: release",
                "boot: 3",
                "installed: nothing",
                &staged,
                "capacity: 1.00 GiB",
                "layout: file",
                "trusts: ab",
                "trusts: cd",
            ]
        );
    }
}
