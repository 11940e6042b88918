//! Which of the many things that a power cut may do to pending changes are tried.

use flash_matrix::Draw;

use crate::medium::{Fate, Pending};
use crate::tree::{SECTOR_BYTES, Step};

/// Pending changes up to which every subset of them is tried.
const EXHAUSTIVE_MAX: usize = 5;
/// How many of each kind are tried beyond that.
const SAMPLES: usize = 6;

/// How a crash state differs from a mere stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Everything up to some change, and nothing after it.
    InOrder,
    /// Something is there that came after something that is not.
    Reordered,
    /// A sector is neither as it was nor as it should be.
    Torn,
}

impl Kind {
    pub(crate) fn of(fates: &[Fate]) -> Self {
        if fates.iter().any(|fate| fate.is_torn()) {
            return Self::Torn;
        }
        let first_lost = fates.iter().position(|fate| *fate == Fate::Lost);
        let after = first_lost.map_or(&[][..], |at| &fates[at..]);
        if after.contains(&Fate::Kept) {
            Self::Reordered
        } else {
            Self::InOrder
        }
    }
}

/// Fates to try at one cut.
pub(crate) fn fates(pending: &[&Pending], draw: &mut Draw) -> Vec<Vec<Fate>> {
    let len = pending.len();
    let all = |fate| vec![fate; len];
    if len == 0 {
        return vec![Vec::new()];
    }
    let mut tried = Vec::new();
    if len <= EXHAUSTIVE_MAX {
        for bits in 0..1_usize << len {
            let fate = |at: usize| {
                if bits >> at & 1 == 1 {
                    Fate::Kept
                } else {
                    Fate::Lost
                }
            };
            tried.push((0..len).map(fate).collect());
        }
    } else {
        tried.push(all(Fate::Lost));
        tried.push(all(Fate::Kept));
        for _ in 0..SAMPLES {
            let kept = draw.within(1..=len - 1);
            let mut fates = all(Fate::Lost);
            fates[..kept].fill(Fate::Kept);
            tried.push(fates);
            for (most, one) in [(Fate::Kept, Fate::Lost), (Fate::Lost, Fate::Kept)] {
                let mut fates = all(most);
                fates[draw.within(0..=len - 1)] = one;
                tried.push(fates);
            }
            tried.push(subset(len, draw));
        }
    }
    let sectors: Vec<usize> = (0..len)
        .filter(|at| matches!(pending[*at].step, Step::Write { .. }))
        .collect();
    if !sectors.is_empty() {
        for _ in 0..2 * SAMPLES {
            let mut fates = match draw.within(0..=2) {
                0 => all(Fate::Kept),
                1 => all(Fate::Lost),
                _ => subset(len, draw),
            };
            for _ in 0..draw.within(1..=3) {
                fates[draw.pick(&sectors)] = tear(draw);
            }
            tried.push(fates);
        }
    }
    tried
}

fn subset(len: usize, draw: &mut Draw) -> Vec<Fate> {
    let fate = |_| draw.pick(&[Fate::Kept, Fate::Lost]);
    (0..len).map(fate).collect()
}

fn tear(draw: &mut Draw) -> Fate {
    match draw.within(0..=3) {
        0 | 1 => Fate::Front(draw.within(1..=SECTOR_BYTES - 1)),
        2 => Fate::Back(draw.within(1..=SECTOR_BYTES - 1)),
        _ => Fate::Garbage(draw.within(0..=1 << 30) as u64),
    }
}
