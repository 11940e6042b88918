//! The command line.
#![expect(clippy::print_stdout, reason = "help goes to standard output")]

use crate::{
    bench, ci, defects, deny,
    error::{Result, XtaskError},
    fuzz, parts, qemu,
    repo::Repo,
    setup::{self, MACHINE_NEEDS, TARGET_NEEDS, TEST_NEEDS},
    sim, syscalls, targets, test, tidy,
};

/// What the caller wants done.
#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    /// Print the tasks.
    Help,
    /// Run the CI, or the steps named.
    Ci(Vec<String>),
    /// Run the tests, with the arguments for `cargo test`.
    Test(Vec<String>),
    /// Run the bench named first, with the options after it, or all of them.
    Bench(Vec<String>),
    /// Try bytes of any kind on every parser, with the options after it.
    Fuzz(Vec<String>),
    /// Kill and refuse the programs at their system calls, with the options after it.
    Syscalls(Vec<String>),
    /// Try seeded defects: those whose names contain one of these words, or all.
    Defects(Vec<String>),
    /// Make a serial line to play with, with the options of `line`.
    Line(Vec<String>),
    /// Cut the power of a simulated world, with the options of `sim`.
    Sim(Vec<String>),
    /// Take a virtual machine through its life, with the options of `machine`.
    Qemu(Vec<String>),
    /// Build for bare targets.
    Targets,
    /// Check the rules that no compiler checks.
    Tidy,
    /// Check dependencies.
    Deny,
    /// Fetch real input for the process tests.
    Parts,
    /// Install the programs that the others call.
    Setup,
}

const HELP: &str = "\
cargo xtask TASK

  ci [STEP…]    all that a change must pass, or only these steps
  test [ARGS…]  fetch what the tests need, then cargo test ARGS (default: --workspace)
  bench [NAME [--OPTION VALUE…]]
                measure, beside peers; docs/performance.md explains the tables
  fuzz [--runs N] [--seed S] [--targets NAME,…] [--keep yes]
                every parser of bytes from outside under libFuzzer; needs a C++ compiler
  sim [ARGS…]   cut the power of a simulated world by the thousand; see sim --help
  syscalls [--flow NAME,…] [--kinds kill,eio,enospc] [--every N] [--seed S] [--only CALL:N]
                the programs killed, or refused, at every system call that changes something
  defects [WORD…]
                break the code on purpose, one promise at a time: a test has to notice
  line [ARGS…]  a serial line between two terminals, by hand; see line --help
  qemu [ARGS…]  a virtual machine: flashed blank, booted, updated, cut off; see qemu --help
  targets       build the no_std halves for riscv64 and wasm32
  tidy          check the rules that no compiler checks
  deny          check licences, sources and duplicates of dependencies
  parts         fetch a kernel, busybox and a root tree to target/parts
  setup         install the programs that the others call (Debian; root if one is missing)
  help          this text

steps of ci:";

impl Task {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// [`XtaskError::Usage`].
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut args = args.into_iter();
        let Some(name) = args.next() else {
            return Err(XtaskError::Usage {
                message: "no task given".to_owned(),
            });
        };
        let rest: Vec<String> = args.collect();
        let task = match name.as_str() {
            "ci" => return Ok(Self::Ci(rest)),
            "test" => return Ok(Self::Test(rest)),
            "bench" => return Ok(Self::Bench(rest)),
            "fuzz" => return Ok(Self::Fuzz(rest)),
            "syscalls" => return Ok(Self::Syscalls(rest)),
            "defects" => return Ok(Self::Defects(rest)),
            "line" => return Ok(Self::Line(rest)),
            "sim" => return Ok(Self::Sim(rest)),
            "qemu" => return Ok(Self::Qemu(rest)),
            "help" | "--help" | "-h" => Self::Help,
            "targets" => Self::Targets,
            "tidy" => Self::Tidy,
            "deny" => Self::Deny,
            "parts" => Self::Parts,
            "setup" => Self::Setup,
            _ => {
                return Err(XtaskError::Usage {
                    message: format!("no task `{name}`"),
                });
            }
        };
        match rest.first() {
            None => Ok(task),
            Some(extra) => Err(XtaskError::Usage {
                message: format!("`{name}` takes no argument, but `{extra}` was given"),
            }),
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// Those of the task's own module.
    pub fn run(self, repo: &Repo) -> Result<()> {
        match self {
            Self::Help => {
                println!("{HELP}");
                for step in ci::STEPS {
                    println!("  {:<13} {}", step.name, step.summary);
                }
                println!("\nbenches:");
                for bench in bench::BENCHES {
                    println!("  {:<13} {}", bench.name, bench.summary);
                }
                Ok(())
            }
            Self::Ci(steps) => ci::run(repo, &steps),
            Self::Test(args) => test::run(repo, &args),
            Self::Bench(args) => bench::run(repo, &args),
            Self::Fuzz(args) => fuzz::run(repo, &args),
            Self::Syscalls(args) => syscalls::run(repo, &args),
            Self::Defects(words) => defects::run(repo, &words),
            Self::Line(args) => repo
                .cargo("run")
                .args(["--quiet", "--release", "-p", "line", "--"])
                .args(args)
                .run(),
            Self::Sim(args) => sim::run(repo, &args),
            Self::Qemu(args) => qemu::run(repo, &args),
            Self::Targets => targets::build(repo),
            Self::Tidy => tidy::run(repo),
            Self::Deny => deny::check(repo),
            Self::Parts => parts::ensure(repo),
            Self::Setup => {
                setup::ensure(TEST_NEEDS.iter().chain(MACHINE_NEEDS).chain(TARGET_NEEDS))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Task> {
        Task::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn arguments_after_test_belong_to_cargo() {
        let args = ["-p", "nx-flash", "--", "resume"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(
            parse("test -p nx-flash -- resume").unwrap(),
            Task::Test(args)
        );
    }

    #[test]
    fn what_is_no_task_is_a_usage_error_that_names_it() {
        for (line, named) in [
            ("", "no task given"),
            ("biuld", "`biuld`"),
            ("tidy fast", "`fast`"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(matches!(error, XtaskError::Usage { .. }), "{error}");
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
