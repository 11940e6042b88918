//! `--fast-baud`: which speeds of a serial line are tried.

use std::str::FromStr;

use nx_flash::speed::LADDER;

/// Which speeds of a serial line are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FastBaud {
    /// What adapters have in common, one after another, as long as they are good.
    Auto,
    /// This one, in baud.
    To(u32),
}

impl FastBaud {
    /// The speeds to try, in order, on a line that was opened at `opening` baud.
    pub(crate) fn ladder(self, opening: u32) -> Vec<u32> {
        match self {
            Self::Auto => LADDER.into_iter().filter(|baud| *baud > opening).collect(),
            Self::To(baud) => vec![baud],
        }
    }
}

impl FromStr for FastBaud {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        match text.parse() {
            Ok(baud) if baud > 0 => Ok(Self::To(baud)),
            _ => Err("a speed is `auto`, or a number of baud from 1".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_tries_what_is_faster_and_a_number_that_alone() {
        let auto: FastBaud = "auto".parse().unwrap();
        assert_eq!(auto.ladder(115_200), LADDER);
        assert_eq!(auto.ladder(1_000_000), [1_500_000, 2_000_000, 3_000_000]);
        assert!(auto.ladder(4_000_000).is_empty());
        assert_eq!("57600".parse(), Ok(FastBaud::To(57_600)));
        assert_eq!(FastBaud::To(57_600).ladder(115_200), [57_600]);
        for bad in ["", "0", "-1", "fast", "1e6"] {
            assert!(bad.parse::<FastBaud>().is_err(), "{bad}");
        }
    }
}
