use nx_image::boot_record::{BootRecord, HeldManifest, SECTOR_BYTES, Slot, Tries, newest};

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "boot_record",
    bytes_max: Tries::BYTES + 1,
    run,
    seeds,
};

/// A record whose checksum is mended, tries, or a manifest's area, as the first byte says.
fn run(bytes: &[u8]) -> bool {
    match bytes.split_first() {
        Some((b'r', sector)) => record(sector),
        Some((b't', file)) => tries(file),
        Some((b'h', area)) => held(area),
        _ => false,
    }
}

fn record(sector: &[u8]) -> bool {
    let mut sector = sector.to_vec();
    const FIELD: &[u8] = b"nx_crc=";
    let field = sector.windows(FIELD.len()).position(|part| part == FIELD);
    if let Some(at) = field {
        let crc = format!("{:08x}", crc32fast::hash(&sector[..at]));
        let value = sector.iter_mut().skip(at + FIELD.len());
        for (byte, digit) in value.zip(crc.bytes()) {
            *byte = digit;
        }
    }
    let Ok(parsed) = BootRecord::parse(&sector) else {
        return false;
    };
    assert_eq!(parsed.encode(), sector, "a record has one form");
    assert!(newest(&sector, &[0; SECTOR_BYTES]).is_some());
    // Whatever follows from a record is one; the confirmed slot is never given up.
    let confirmed = parsed.confirmed();
    assert!(parsed.vacated(confirmed).is_err());
    let contents = *parsed.contents(confirmed);
    let vacated = parsed.vacated(confirmed.other()).ok();
    let trial = vacated.and_then(|next| next.on_trial(confirmed.other(), contents).ok());
    let settled = Slot::ALL.map(|slot| parsed.confirmed_by(slot).ok().flatten());
    let wanted = parsed.with_recovery(!parsed.recovery).ok().flatten();
    for next in settled
        .into_iter()
        .chain([vacated, trial, wanted])
        .flatten()
    {
        assert_eq!(BootRecord::parse(&next.encode()), Ok(next));
        assert!(next.generation > parsed.generation);
    }
    assert_eq!(parsed.choice(None).slot, confirmed);
    true
}

fn tries(file: &[u8]) -> bool {
    let Ok(parsed) = Tries::parse(file) else {
        return false;
    };
    assert_eq!(parsed.encode(), file, "tries have one form");
    assert!(parsed.left <= Tries::MOST);
    true
}

fn held(area: &[u8]) -> bool {
    let Ok(parsed) = HeldManifest::parse(area) else {
        return false;
    };
    let bytes = parsed.encode().unwrap();
    assert_eq!(HeldManifest::total_bytes(area), Ok(bytes.len()));
    assert!(area.starts_with(&bytes), "an area has one form");
    true
}

fn seeds() -> Vec<Vec<u8>> {
    let first = BootRecord::first(Default::default());
    let trial = first.on_trial(Slot::B, Default::default()).unwrap();
    let recovery = trial.with_recovery(true).unwrap().unwrap();
    let number = trial.trial.unwrap();
    let held = HeldManifest {
        manifest: b"{}\n".to_vec(),
        signature: vec![7; 64],
    };
    let records = [first, trial, recovery].map(|record| [b"r", &*record.encode()].concat());
    let others = [
        [b"t", &*Tries::all(number).encode()].concat(),
        [b"h", &*held.encode().unwrap()].concat(),
    ];
    records.into_iter().chain(others).collect()
}
