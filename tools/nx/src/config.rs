use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::NxError;
use crate::reason::Reason;

/// Longest configuration file, in bytes.
const BYTES_MAX: u64 = 64 * 1024;

/// What a command line may leave out: from the environment, then from the configuration file.
///
/// The file is `$XDG_CONFIG_HOME/nx/config.toml`, or `~/.config/nx/config.toml`. It is read only
/// when something is left out; an unknown key in it is an error.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Default for `--port`.
    port: Option<String>,
    /// Default for `--state`.
    state: Option<PathBuf>,
}

/// The port to use: the one given, `NX_PORT`, or the configured one.
///
/// # Errors
/// `usage.no_port` if there is none; `config.invalid` if the file is wrong.
pub(crate) fn port(given: Option<&str>) -> Result<String, NxError> {
    if let Some(port) = given {
        return Ok(port.to_owned());
    }
    default_port()?.ok_or_else(|| {
        NxError::new(Reason::UsageNoPort, "no port: where is the device?")
            .hint("`--port PORT`, or NX_PORT; `nx flash ports` lists what there is")
    })
}

/// The port that is used when none is given: `NX_PORT`, or the configured one.
///
/// # Errors
/// `config.invalid` if the file, or the text of the variable, is wrong.
pub(crate) fn default_port() -> Result<Option<String>, NxError> {
    match variable("NX_PORT") {
        Some(port) => port.into_string().map(Some).map_err(|port| {
            let port = port.display();
            NxError::new(Reason::ConfigInvalid, format!("NX_PORT is no text: {port}"))
        }),
        None => Ok(Config::load()?.port),
    }
}

/// The state root to use: the one given, `NX_STATE`, or the configured one.
///
/// # Errors
/// `usage.no_state` if there is none; `config.invalid` if the file is wrong.
pub(crate) fn state(given: Option<&Path>) -> Result<PathBuf, NxError> {
    if let Some(state) = given {
        return Ok(state.to_owned());
    }
    if let Some(state) = variable("NX_STATE") {
        return Ok(state.into());
    }
    Config::load()?.state.ok_or_else(|| {
        NxError::new(
            Reason::UsageNoState,
            "no state root: which state is to be reset?",
        )
        .hint("`--state DIR`, or NX_STATE")
    })
}

impl Config {
    fn load() -> Result<Self, NxError> {
        place().map_or_else(|| Ok(Self::default()), |path| Self::read(&path))
    }

    fn read(path: &Path) -> Result<Self, NxError> {
        let shown = path.display();
        let unreadable = |error: std::io::Error| {
            NxError::new(
                Reason::ConfigUnreadable,
                format!("cannot read `{shown}`: {error}"),
            )
        };
        let invalid = |what: &str| {
            NxError::new(Reason::ConfigInvalid, format!("`{shown}`: {what}"))
                .hint("a file with lines such as: port = \"/dev/ttyUSB0\"")
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(Self::default());
            }
            Err(error) => return Err(unreadable(error)),
        };
        let mut bytes = Vec::new();
        file.take(BYTES_MAX.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if u64::try_from(bytes.len()).map_or(true, |length| length > BYTES_MAX) {
            return Err(invalid(&format!("more than {BYTES_MAX} bytes")));
        }
        let text = String::from_utf8(bytes).map_err(|_| invalid("not UTF-8"))?;
        toml::from_str(&text).map_err(|error| invalid(&in_one_line(&text, &error)))
    }
}

fn in_one_line(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map(|span| {
        let before = text.get(..span.start).unwrap_or_default();
        before.matches('\n').count().saturating_add(1)
    });
    match line {
        Some(line) => format!("line {line}: {}", error.message().trim_end()),
        None => error.message().trim_end().to_owned(),
    }
}

/// Where the configuration file would be; a relative base directory counts as none (XDG Base
/// Directory Specification).
fn place() -> Option<PathBuf> {
    let absolute = |name| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(base.join("nx").join("config.toml"))
}

fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}
