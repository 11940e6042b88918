use alloc::{vec, vec::Vec};
use core::num::NonZeroU32;

use super::sector::{Hex, Number, Reader, Writer};
use super::tries::header_sector;
use super::{BootRecordError, RecordCopy, SEGMENT_BYTES, Slot, Tries};
use crate::digest::Digest;

/// Nobody's digest: what the record has for a manifest that is not known.
const NO_DIGEST: Digest = Digest::from_bytes([0; Digest::BYTES]);

/// What a slot holds, as far as booting it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotContents {
    /// Length of the kernel, in sectors of 512 bytes; 0 without one. What lies in the last
    /// sector behind the kernel has to be zero.
    pub kernel_sectors: u32,
    /// Length of the initrd, in sectors of 512 bytes; 0 without one. What lies in the last
    /// sector behind the initrd has to be zero.
    pub initrd_sectors: u32,
    /// Digest of the manifest; nothing when the slot holds nothing, or was filled by copying an
    /// image without its manifest.
    pub manifest: Option<Digest>,
}

impl SlotContents {
    /// A slot that holds nothing.
    pub const EMPTY: Self = Self {
        kernel_sectors: 0,
        initrd_sectors: 0,
        manifest: None,
    };
}

/// Which slot boots, and what happens if it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootRecord {
    /// Counts records: the newest whole copy is the one with the larger number. From 1.
    pub generation: u32,
    /// What boots.
    pub slot: Slot,
    /// Whether the other slot is a confirmed one, to fall back to.
    pub fallback: bool,
    /// The number of the tries, while `slot` is on trial; nothing when it is confirmed. A slot
    /// on trial always has a fallback.
    pub trial: Option<NonZeroU32>,
    /// Whether recovery of the [confirmed](Self::confirmed) slot boots.
    pub recovery: bool,
    /// What slot a holds.
    pub a: SlotContents,
    /// What slot b holds.
    pub b: SlotContents,
}

impl BootRecord {
    /// The record of a disk that has one system, in slot a.
    pub const fn first(a: SlotContents) -> Self {
        Self {
            generation: 1,
            slot: Slot::A,
            fallback: false,
            trial: None,
            recovery: false,
            a,
            b: SlotContents::EMPTY,
        }
    }

    /// Reads one copy.
    ///
    /// # Errors
    /// When it is not whole, or damaged, or in another form. No input makes this panic.
    pub fn parse(bytes: &[u8]) -> Result<Self, BootRecordError> {
        let mut lines = Reader::new(bytes)?;
        lines.line::<char>("nx_v").and_then(version)?;
        let Hex(generation) = lines.line("nx_gen")?;
        let slot = letter(lines.line("nx_slot")?);
        let other = lines.line::<char>("nx_other")?;
        let Hex(trial) = lines.line("nx_trial")?;
        let recovery = lines.line::<char>("nx_recovery")?;
        let mut sectors = [0; 4];
        for (sectors, name) in sectors.iter_mut().zip(SECTORS) {
            Number(*sectors) = lines.line(name)?;
        }
        let a: Digest = lines.line("nx_a")?;
        let b: Digest = lines.line("nx_b")?;
        let crc = lines.crc();
        let Hex(got) = lines.line("nx_crc")?;
        let Hex(end) = lines.line("nx_end")?;
        lines.finish()?;
        if end != generation {
            return Err(BootRecordError::Torn {
                front: generation,
                end,
            });
        }
        if got != crc {
            return Err(BootRecordError::Crc);
        }
        let contents = |what| BootRecordError::Contents { what };
        let slot = slot.ok_or(contents("its slot is neither a nor b"))?;
        let fallback = match letter(other) {
            Some(other) if other == slot.other() => true,
            None if other == NONE => false,
            _ => return Err(contents("its other slot is not the other one")),
        };
        let recovery = match recovery {
            '0' => false,
            '1' => true,
            _ => return Err(contents("its recovery is neither 0 nor 1")),
        };
        let [a_kernel, a_initrd, b_kernel, b_initrd] = sectors;
        let record = Self {
            generation,
            slot,
            fallback,
            trial: NonZeroU32::new(trial),
            recovery,
            a: slot_contents(a_kernel, a_initrd, a),
            b: slot_contents(b_kernel, b_initrd, b),
        };
        record.check()?;
        Ok(record)
    }

    /// The bytes of a copy. Parsing them gives `self` back if it contradicts itself in nothing.
    pub fn encode(&self) -> Vec<u8> {
        let mut lines = Writer::new();
        lines.line("nx_v", VERSION);
        lines.line("nx_gen", Hex(self.generation));
        lines.line("nx_slot", self.slot);
        match self.fallback {
            true => lines.line("nx_other", self.slot.other()),
            false => lines.line("nx_other", NONE),
        }
        lines.line("nx_trial", Hex(self.trial.map_or(0, NonZeroU32::get)));
        lines.line("nx_recovery", u8::from(self.recovery));
        let sectors = [
            self.a.kernel_sectors,
            self.a.initrd_sectors,
            self.b.kernel_sectors,
            self.b.initrd_sectors,
        ];
        for (name, sectors) in SECTORS.into_iter().zip(sectors) {
            lines.line(name, Number(sectors));
        }
        lines.line("nx_a", self.a.manifest.unwrap_or(NO_DIGEST));
        lines.line("nx_b", self.b.manifest.unwrap_or(NO_DIGEST));
        lines.line("nx_crc", Hex(lines.crc()));
        lines.line("nx_end", Hex(self.generation));
        lines.finish()
    }

    /// The segment of an image that has this record: [`SEGMENT_BYTES`] of them, with the
    /// record as both of its copies, and a file for the tries that holds none.
    pub fn segment(&self) -> Vec<u8> {
        let mut bytes = vec![0; SEGMENT_BYTES];
        let mut put = |offset: u64, sector: &[u8]| {
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            let place = bytes.get_mut(offset..offset.saturating_add(sector.len()));
            if let Some(place) = place {
                place.copy_from_slice(sector);
            }
        };
        put(Tries::OFFSET, &header_sector());
        for copy in RecordCopy::ALL {
            put(copy.offset(), &self.encode());
        }
        bytes
    }

    /// What a slot holds.
    pub const fn contents(&self, slot: Slot) -> &SlotContents {
        match slot {
            Slot::A => &self.a,
            Slot::B => &self.b,
        }
    }

    /// The slot that is known to be good: what recovery runs from, and what no update writes.
    pub const fn confirmed(&self) -> Slot {
        match self.trial {
            Some(_) => self.slot.other(),
            None => self.slot,
        }
    }

    /// Whether the record says anything about a slot, so that it might be booted.
    pub fn names(&self, slot: Slot) -> bool {
        slot == self.slot || self.fallback || *self.contents(slot) != SlotContents::EMPTY
    }

    pub(super) fn contents_mut(&mut self, slot: Slot) -> &mut SlotContents {
        match slot {
            Slot::A => &mut self.a,
            Slot::B => &mut self.b,
        }
    }

    fn check(&self) -> Result<(), BootRecordError> {
        let what = match (self.generation, self.trial) {
            (0, _) => "its generation is 0",
            (_, Some(_)) if !self.fallback => "a slot is on trial without another one",
            (generation, Some(trial)) if trial.get() > generation => "its trial is yet to come",
            _ => return Ok(()),
        };
        Err(BootRecordError::Contents { what })
    }
}

const VERSION: char = '1';
const NONE: char = '-';
const SECTORS: [&str; 4] = ["nx_a_kernel", "nx_a_initrd", "nx_b_kernel", "nx_b_initrd"];

fn version(found: char) -> Result<(), BootRecordError> {
    match found {
        VERSION => Ok(()),
        _ => Err(BootRecordError::Contents {
            what: "its version is not 1",
        }),
    }
}

fn letter(letter: char) -> Option<Slot> {
    match letter {
        'a' => Some(Slot::A),
        'b' => Some(Slot::B),
        _ => None,
    }
}

fn slot_contents(kernel_sectors: u32, initrd_sectors: u32, manifest: Digest) -> SlotContents {
    SlotContents {
        kernel_sectors,
        initrd_sectors,
        manifest: (manifest != NO_DIGEST).then_some(manifest),
    }
}
