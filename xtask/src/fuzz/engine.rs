//! The program with all targets and libFuzzer in it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::outcome::Outcome;
use crate::{
    command::Cmd,
    error::{Result, XtaskError},
    repo::Repo,
};

/// Has the compiler count edges and watch comparisons, as `cargo fuzz` has it done. No sanitizer:
/// nothing of ours may be `unsafe`, and those need a nightly compiler.
const COUNTERS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
/// Longest time of one input, in seconds.
const INPUT_SECONDS_MAX: u32 = 10;
/// Most memory, in MiB: the program itself has some 30.
const MEMORY_MIB_MAX: u32 = 512;

/// Most of a corpus that is kept, in bytes: the shortest inputs, for a repository and its tests.
const CORPUS_BYTES_MAX: usize = 16 * 1_024;

/// The built program, and where it puts things.
#[derive(Debug)]
pub(super) struct Engine {
    program: PathBuf,
    corpora: PathBuf,
    place: PathBuf,
}

impl Engine {
    /// Builds it, in a target directory of its own: its flags would have everything built anew.
    pub(super) fn build(repo: &Repo) -> Result<Self> {
        let place = repo.target().join("fuzz");
        let version = Cmd::new("rustc").arg("-vV").read()?;
        let host = version
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .ok_or_else(|| XtaskError::Unexpected {
                what: "rustc -vV".to_owned(),
                detail: "it names no host".to_owned(),
            })?;
        repo.cargo("build")
            .args(["--locked", "--profile", "fuzz", "--target", host])
            .args(["-p", "fuzz", "--features", "engine"])
            .args(["--bin", "fuzz-engine"])
            .env("CARGO_TARGET_DIR", &place)
            .env("RUSTFLAGS", COUNTERS)
            .run()?;
        let seeds = place.join("seeds");
        clear(&seeds)?;
        repo.cargo("run")
            .args(["--locked", "--quiet", "-p", "fuzz", "--bin", "fuzz-seeds"])
            .arg("--")
            .arg(&seeds)
            .run()?;
        Ok(Self {
            program: place.join(host).join("fuzz/fuzz-engine"),
            corpora: repo.root().join("tests/fuzz/corpus"),
            place,
        })
    }

    /// The names of all targets, sorted.
    pub(super) fn targets(&self) -> Result<Vec<String>> {
        let seeds = self.place.join("seeds");
        let io = |source| XtaskError::io("read", &seeds)(source);
        let mut names = Vec::new();
        for entry in fs::read_dir(&seeds).map_err(io)? {
            let entry = entry.map_err(|source| XtaskError::io("read", &seeds)(source))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Beside the folders are the lengths.
            names.extend(Some(name).filter(|name| !name.contains('.')));
        }
        names.sort();
        Ok(names)
    }

    /// The log of a target's last run.
    pub(super) fn log(&self, target: &str) -> PathBuf {
        self.place.join("log").join(format!("{target}.txt"))
    }

    /// Where the input is put that stopped a target.
    pub(super) fn artifacts(&self, target: &str) -> PathBuf {
        self.place.join("crashes").join(target)
    }

    fn command(&self, target: &str, log: &Path) -> Result<Command> {
        let file = File::create(log).map_err(XtaskError::io("create", log))?;
        let mut command = Command::new(&self.program);
        command
            .env("FUZZ_TARGET", target)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file);
        Ok(command)
    }

    /// Tries so many inputs of a target.
    pub(super) fn search(&self, target: &str, runs: u64, seed: u32) -> Result<Outcome> {
        let found = self.place.join("found").join(target);
        clear(&found)?;
        let artifacts = self.artifacts(target);
        clear(&artifacts)?;
        let log = self.log(target);
        create(self.place.join("log"))?;
        let mut command = self.command(target, &log)?;
        command
            .arg(format!("-runs={runs}"))
            .arg(format!("-seed={seed}"))
            .arg(format!("-max_len={}", self.bytes_max(target)?))
            .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
            .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg(&found)
            .arg(self.place.join("seeds").join(target));
        let status = command.status().map_err(|source| XtaskError::Start {
            command: self.program.display().to_string(),
            source,
        })?;
        let text = fs::read(&log).map_err(XtaskError::io("read", &log))?;
        let text = String::from_utf8_lossy(&text);
        Outcome::of(&text, status.success()).ok_or_else(|| XtaskError::Unexpected {
            what: log.display().to_string(),
            detail: "libFuzzer did not begin".to_owned(),
        })
    }

    /// Longest input of a target: a file beside its seeds says it.
    fn bytes_max(&self, target: &str) -> Result<u64> {
        let path = self.place.join("seeds").join(format!("{target}.max"));
        let text = fs::read_to_string(&path).map_err(XtaskError::io("read", &path))?;
        text.trim().parse().map_err(|_| XtaskError::Unexpected {
            what: path.display().to_string(),
            detail: "no number".to_owned(),
        })
    }

    /// Makes the target's corpus the least that reaches what the old one and the last run reached,
    /// as far as there is room for it.
    pub(super) fn keep(&self, target: &str) -> Result<()> {
        let merged = self.place.join("merged").join(target);
        clear(&merged)?;
        let log = self.place.join("log").join(format!("{target}.merge.txt"));
        let mut command = self.command(target, &log)?;
        command.arg("-merge=1").arg(&merged);
        for folder in ["seeds", "found"] {
            command.arg(self.place.join(folder).join(target));
        }
        let shown = self.program.display().to_string();
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(status) => {
                return Err(XtaskError::Failed {
                    command: shown,
                    status,
                });
            }
            Err(source) => {
                return Err(XtaskError::Start {
                    command: shown,
                    source,
                });
            }
        }
        let io = |source| XtaskError::io("read", &merged)(source);
        let mut inputs = Vec::new();
        for entry in fs::read_dir(&merged).map_err(io)? {
            let path = entry
                .map_err(|source| XtaskError::io("read", &merged)(source))?
                .path();
            inputs.push(fs::read(&path).map_err(XtaskError::io("read", path))?);
        }
        inputs.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
        let mut room = CORPUS_BYTES_MAX;
        let mut text = String::new();
        for input in inputs {
            let Some(left) = room.checked_sub(input.len()) else {
                break;
            };
            room = left;
            text.extend(input.iter().map(|byte| format!("{byte:02x}")));
            text.push('\n');
        }
        let corpus = self.corpora.join(target).with_extension("hex");
        fs::write(&corpus, text).map_err(XtaskError::io("write", corpus))?;
        Ok(())
    }
}

fn create(folder: PathBuf) -> Result<()> {
    fs::create_dir_all(&folder).map_err(XtaskError::io("create", folder))
}

/// Makes a folder that is there and empty.
fn clear(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(XtaskError::io("empty", folder)(error))
        }
        _ => create(folder.to_owned()),
    }
}
