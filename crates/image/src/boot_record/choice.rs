use super::{BootRecord, RecordCopy, Slot, Tries};

/// What a boot loader makes of a record and the tries: the rule that every loader follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The slot that boots.
    pub slot: Slot,
    /// Whether it boots its recovery.
    pub recovery: bool,
    /// The tries to write before that: with one less than there were. Nothing when the slot is a
    /// confirmed one.
    pub spend: Option<Tries>,
}

impl BootRecord {
    /// What boots next. Tries that are missing, torn or of another trial are none.
    pub fn choice(&self, tries: Option<&Tries>) -> Choice {
        let confirmed = Choice {
            slot: self.confirmed(),
            recovery: self.recovery,
            spend: None,
        };
        if self.recovery {
            return confirmed;
        }
        match self.trial.and(self.left(tries)) {
            Some((tries, left)) => Choice {
                slot: self.slot,
                recovery: false,
                spend: Some(Tries { left, ..tries }),
            },
            None => confirmed,
        }
    }

    /// How many tries the slot on trial has left; nothing when none is on trial.
    pub fn tries_left(&self, tries: Option<&Tries>) -> Option<u8> {
        let number = self.trial?;
        let left = tries
            .filter(|tries| tries.number == number)
            .map_or(0, |tries| tries.left);
        Some(left)
    }

    /// The tries of this trial, and what is left of them after one more.
    fn left(&self, tries: Option<&Tries>) -> Option<(Tries, u8)> {
        let tries = tries.filter(|tries| Some(tries.number) == self.trial)?;
        Some((*tries, tries.left.checked_sub(1)?))
    }
}

/// The copy that counts, of what lies at [`RecordCopy::First`] and [`RecordCopy::Second`]; the
/// other one is to be written next. Nothing when none is whole.
pub fn newest(first: &[u8], second: &[u8]) -> Option<(RecordCopy, BootRecord)> {
    let read = |copy, bytes| BootRecord::parse(bytes).ok().map(|record| (copy, record));
    let first = read(RecordCopy::First, first);
    let second = read(RecordCopy::Second, second);
    match (first, second) {
        (Some(first), Some(second)) if second.1.generation > first.1.generation => Some(second),
        (None, second) => second,
        (first, _) => first,
    }
}
