//! The command line.

use std::path::PathBuf;

use crate::call::Call;
use crate::error::{Result, Trouble};
use crate::flow::Flow;
use crate::flows;
use crate::kind::Kind;

/// Which runs are made.
#[derive(Debug)]
pub struct Options {
    /// Where `nx` and `flashd` are.
    pub programs: PathBuf,
    /// The flows.
    pub(crate) flows: Vec<Box<dyn Flow>>,
    /// What is done to them.
    pub(crate) kinds: Vec<Kind>,
    /// One run of so many is made.
    pub(crate) every: usize,
    /// Which one of so many.
    pub(crate) seed: u64,
    /// Only this call.
    pub(crate) only: Option<String>,
    /// Runs at the same time.
    pub(crate) jobs: usize,
}

impl Options {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// [`Trouble::Usage`].
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut options = Self {
            programs: PathBuf::from("target/release"),
            flows: flows::all(),
            kinds: Kind::ALL.to_vec(),
            every: 1,
            seed: 1,
            only: None,
            jobs: cores,
        };
        let mut args = args.into_iter();
        while let Some(option) = args.next() {
            let value = args
                .next()
                .ok_or_else(|| Trouble::Usage(format!("`{option}` needs a value")))?;
            match option.as_str() {
                "--programs" => options.programs = PathBuf::from(value),
                "--flow" => options.choose_flows(&value)?,
                "--kinds" => options.kinds = kinds(&value)?,
                "--every" => options.every = number::<usize>(&option, &value)?.max(1),
                "--seed" => options.seed = number(&option, &value)?,
                "--jobs" => options.jobs = number::<usize>(&option, &value)?.max(1),
                "--only" => options.only = Some(value),
                _ => return Err(Trouble::Usage(format!("no option `{option}`"))),
            }
        }
        Ok(options)
    }

    fn choose_flows(&mut self, names: &str) -> Result<()> {
        let known: Vec<&str> = self.flows.iter().map(|flow| flow.name()).collect();
        if let Some(unknown) = names.split(',').find(|name| !known.contains(name)) {
            let known = known.join(", ");
            return Err(Trouble::Usage(format!(
                "no flow `{unknown}` (known: {known})"
            )));
        }
        self.flows
            .retain(|flow| names.split(',').any(|name| name == flow.name()));
        Ok(())
    }

    /// Whether the run with this number, of this call, is to be made.
    pub(crate) fn takes(&self, number: usize, call: &Call) -> bool {
        match &self.only {
            Some(only) => *only == call.to_string(),
            None => {
                let every = self.every as u64;
                (number as u64)
                    .wrapping_add(self.seed)
                    .is_multiple_of(every)
            }
        }
    }
}

fn kinds(names: &str) -> Result<Vec<Kind>> {
    let kind = |name| {
        Kind::named(name)
            .ok_or_else(|| Trouble::Usage(format!("no kind `{name}` (known: kill, eio, enospc)")))
    };
    names.split(',').map(kind).collect()
}

fn number<T: std::str::FromStr>(option: &str, value: &str) -> Result<T> {
    let is_none = |_| Trouble::Usage(format!("`{value}` is no number for `{option}`"));
    value.parse().map_err(is_none)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn what_is_unknown_is_named_with_what_is_known() {
        for (line, words) in [
            ("--flow fly", "no flow `fly` (known: send-host,"),
            ("--kinds kill,die", "no kind `die`"),
            ("--every x", "`x` is no number for `--every`"),
            ("--every", "`--every` needs a value"),
            ("--fast 1", "no option `--fast`"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }

    #[test]
    fn shares_with_other_seeds_are_all_there_is_and_do_not_overlap() {
        let call = Call {
            name: "write".to_owned(),
            number: 1,
            is_aside: false,
            text: String::new(),
        };
        let shares: Vec<Options> = (0..3)
            .map(|seed| parse(&format!("--every 3 --seed {seed}")).unwrap())
            .collect();
        for number in 0..30 {
            let takers = shares.iter().filter(|share| share.takes(number, &call));
            assert_eq!(takers.count(), 1, "{number}");
        }
        assert!(parse("--only write:1").unwrap().takes(7, &call));
        assert!(!parse("--only write:2").unwrap().takes(7, &call));
    }
}
