//! How one record follows from another: the only ways in which a device changes it.

use core::num::NonZeroU32;

use super::{BootRecord, BootRecordError, Slot, SlotContents};

impl BootRecord {
    /// The record before a slot is written: it no longer names that slot. What was on trial
    /// there is given up.
    ///
    /// # Errors
    /// When the slot is the confirmed one, or no generation is left.
    pub fn vacated(&self, slot: Slot) -> Result<Self, BootRecordError> {
        let confirmed = self.confirmed();
        if slot == confirmed {
            return Err(BootRecordError::Confirmed { slot });
        }
        let mut next = self.next()?;
        next.slot = confirmed;
        next.fallback = false;
        next.trial = None;
        *next.contents_mut(slot) = SlotContents::EMPTY;
        Ok(next)
    }

    /// The record once a slot is written: it boots next, on trial, and not into recovery. Its
    /// tries, all of them and with the number of the [`trial`](Self::trial), have to be on the
    /// disk before.
    ///
    /// # Errors
    /// When the slot is the confirmed one, when a slot is on trial, or no generation is left.
    pub fn on_trial(&self, slot: Slot, contents: SlotContents) -> Result<Self, BootRecordError> {
        if self.trial.is_some() {
            return Err(BootRecordError::OnTrial { slot: self.slot });
        }
        if slot == self.slot {
            return Err(BootRecordError::Confirmed { slot });
        }
        let mut next = self.next()?;
        next.slot = slot;
        next.fallback = true;
        next.trial = NonZeroU32::new(next.generation);
        next.recovery = false;
        *next.contents_mut(slot) = contents;
        Ok(next)
    }

    /// The record once the system in the slot `running` is known to be good. The slot that the
    /// record would have booted instead, if it is another one, has failed, and is forgotten.
    /// Nothing when the record says so already.
    ///
    /// # Errors
    /// When the record does not name the slot, or no generation is left.
    pub fn confirmed_by(&self, running: Slot) -> Result<Option<Self>, BootRecordError> {
        if running == self.slot {
            if self.trial.is_none() {
                return Ok(None);
            }
            let mut next = self.next()?;
            next.trial = None;
            return Ok(Some(next));
        }
        if !self.fallback {
            return Err(BootRecordError::Unnamed { slot: running });
        }
        let mut next = self.next()?;
        next.slot = running;
        next.fallback = false;
        next.trial = None;
        *next.contents_mut(running.other()) = SlotContents::EMPTY;
        Ok(Some(next))
    }

    /// The record that boots recovery, or no longer does; a trial goes on after it. Nothing when
    /// the record says so already.
    ///
    /// # Errors
    /// When no generation is left.
    pub fn with_recovery(&self, recovery: bool) -> Result<Option<Self>, BootRecordError> {
        if recovery == self.recovery {
            return Ok(None);
        }
        let mut next = self.next()?;
        next.recovery = recovery;
        Ok(Some(next))
    }

    fn next(&self) -> Result<Self, BootRecordError> {
        let last = self.generation;
        let generation = last
            .checked_add(1)
            .ok_or(BootRecordError::Exhausted { last })?;
        Ok(Self {
            generation,
            ..*self
        })
    }
}
