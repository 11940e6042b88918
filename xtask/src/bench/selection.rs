//! Which benches there are.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use super::{image, lanes, line, machine::Machine, memory, options::Options, socket};
use crate::{
    error::{Result, XtaskError},
    repo::Repo,
};

/// One bench.
#[derive(Debug, Clone, Copy)]
pub struct Bench {
    /// What `cargo xtask bench NAME` calls it.
    pub name: &'static str,
    /// What it measures, in a few words.
    pub summary: &'static str,
    /// The options that it takes, each with a value.
    pub(super) options: &'static [&'static str],
    pub(super) run: fn(&Repo, &Options) -> Result<()>,
}

/// All of them.
pub const BENCHES: &[Bench] = &[
    line::BENCH,
    socket::BENCH,
    image::BENCH,
    memory::BENCH,
    lanes::BENCH,
];

/// Runs the bench named first in `args` with the options after it; all of them, without options,
/// if none is named.
///
/// # Errors
/// [`XtaskError::Usage`] if there is no such bench or option; else those of the bench.
pub fn run(repo: &Repo, args: &[String]) -> Result<()> {
    let chosen: Vec<(&Bench, Options)> = match args.split_first() {
        None => BENCHES
            .iter()
            .map(|bench| (bench, Options::default()))
            .collect(),
        Some((name, rest)) => {
            let bench = BENCHES.iter().find(|bench| bench.name == name.as_str());
            let Some(bench) = bench else {
                return Err(XtaskError::Usage {
                    message: format!("no bench `{name}`"),
                });
            };
            vec![(bench, Options::parse(rest, bench.options)?)]
        }
    };
    println!("{}\n", Machine::look(repo));
    for (bench, options) in chosen {
        (bench.run)(repo, &options)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bench_that_does_not_exist_is_named_and_nothing_runs() {
        let repo = Repo::find().unwrap();
        let error = run(&repo, &["lime".to_owned()]).unwrap_err();
        assert!(error.to_string().starts_with("no bench `lime`"), "{error}");
        let error = run(&repo, &["line".to_owned(), "--sede".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("`--sede`"), "{error}");
    }
}
