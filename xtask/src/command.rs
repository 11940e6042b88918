//! Commands that we run, shown before they start.
#![expect(clippy::print_stdout, reason = "a chore says what it runs")]

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::error::{Result, XtaskError};

/// One command: built, shown, run.
#[derive(Debug)]
pub struct Cmd {
    command: Command,
    shown: String,
}

impl Cmd {
    /// A command without arguments. It gets no standard input.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(&program);
        command.stdin(Stdio::null());
        Self {
            command,
            shown: program.as_ref().to_string_lossy().into_owned(),
        }
    }

    /// Shows the program under another name. Call before adding arguments.
    pub fn shown_as(mut self, name: &str) -> Self {
        name.clone_into(&mut self.shown);
        self
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.shown.push(' ');
        self.shown
            .push_str(&quoted(&arg.as_ref().to_string_lossy()));
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(self, args: impl IntoIterator<Item = S>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// Sets a variable, and shows it.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let shown = quoted(&value.as_ref().to_string_lossy());
        self.shown = format!("{name}={shown} {}", self.shown);
        self.command.env(name, value);
        self
    }

    /// Takes every variable away whose name satisfies `unwanted`.
    pub fn without_env(mut self, unwanted: impl Fn(&str) -> bool) -> Self {
        for (name, _) in env::vars_os() {
            if unwanted(&name.to_string_lossy()) {
                self.command.env_remove(name);
            }
        }
        self
    }

    /// Runs in this folder.
    pub fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Shows the command, then runs it with our own output.
    ///
    /// # Errors
    /// [`XtaskError::Start`] or, if it ends in anything but success, [`XtaskError::Failed`].
    pub fn run(mut self) -> Result<()> {
        println!("$ {}", self.shown);
        match self.command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(XtaskError::Failed {
                command: self.shown,
                status,
            }),
            Err(source) => Err(XtaskError::Start {
                command: self.shown,
                source,
            }),
        }
    }

    /// Runs the command quietly; returns what it printed on standard output, trimmed.
    ///
    /// # Errors
    /// As [`Cmd::run`].
    pub fn read(mut self) -> Result<String> {
        match self.command.output() {
            Ok(output) if output.status.success() => {
                Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
            }
            Ok(output) => Err(XtaskError::Failed {
                command: self.shown,
                status: output.status,
            }),
            Err(source) => Err(XtaskError::Start {
                command: self.shown,
                source,
            }),
        }
    }
}

/// Where `program` is on `PATH`, with the folders that only root has there.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// As a POSIX shell wants it, so that what we show can be pasted.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_pasted() {
        let cmd = Cmd::new("a")
            .args(["b=c", "d e", "it's", ""])
            .env("F", "-D warnings");
        assert_eq!(cmd.shown, r"F='-D warnings' a b=c 'd e' 'it'\''s' ''");
    }

    #[test]
    fn a_failure_names_the_command_as_typed() {
        let error = Cmd::new("false").args(["a", "b"]).run().unwrap_err();
        assert!(
            error.to_string().starts_with("`false a b` failed:"),
            "{error}"
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_told_from_one_that_failed() {
        let error = Cmd::new("no-such-program-here").read().unwrap_err();
        assert!(matches!(error, XtaskError::Start { .. }), "{error}");
        assert_eq!(which("no-such-program-here"), None);
    }

    #[test]
    fn what_was_printed_comes_back_trimmed() {
        assert_eq!(Cmd::new("echo").arg("words").read().unwrap(), "words");
    }
}
