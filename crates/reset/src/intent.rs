use std::ffi::{CStr, CString};
use std::os::fd::AsFd;

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use crate::digest::Digest;
use crate::directory::Directory;
use crate::entry::EntryKind;
use crate::error::ResetError;
use crate::kept::read_at;
use crate::limits::INTENT_BYTES_MAX;
use crate::ops::{Collision, Ops};
use crate::plan::{Action, Plan};

/// The reset's own directory in the state root.
pub(crate) const RESERVED: &CStr = c".nx-reset";
/// The intent in it.
pub(crate) const INTENT: &CStr = c"intent";
/// The intent while it is being written.
pub(crate) const INTENT_NEW: &CStr = c"intent.new";
/// Where targets go before they are deleted.
pub(crate) const TRASH: &CStr = c"trash";

const RESERVED_URI: &str = "state:/.nx-reset";
const INTENT_URI: &str = "state:/.nx-reset/intent";
const FORMAT: &str = "nx-reset-intent/1";

/// What a reset that began is about to do: durable before the first change, gone after the last.
///
/// Text: a format line, the hash of the plan, the digest of the kept set, the plan's canonical
/// lines, and a last line with the SHA-256 of all before it. No time and no host, so that the same
/// tree gives the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Intent {
    pub(crate) plan_hash: Digest,
    pub(crate) kept: Digest,
    lines: String,
}

impl Intent {
    pub(crate) fn new(plan: &Plan, kept: Digest) -> Self {
        Self {
            plan_hash: plan.hash(),
            kept,
            lines: plan.to_string(),
        }
    }

    /// URIs of what the plan removes.
    pub(crate) fn removals(&self) -> impl Iterator<Item = &str> {
        self.lines.lines().filter_map(|line| {
            let mut fields = line.split('\t');
            (fields.next() == Some(Action::Remove.word()))
                .then(|| fields.next())
                .flatten()
        })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let Self {
            plan_hash,
            kept,
            lines,
        } = self;
        let body = format!("{FORMAT}\nplan {plan_hash}\nkept {kept}\n{lines}");
        let digest = Digest::of(body.as_bytes());
        format!("{body}sha256 {digest}\n").into_bytes()
    }

    /// Reads an intent; `None` if these are not, byte for byte, the bytes of one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let rest = text.strip_prefix(FORMAT)?.strip_prefix("\nplan ")?;
        let (plan_hash, rest) = rest.split_once('\n')?;
        let (kept, rest) = rest.strip_prefix("kept ")?.split_once('\n')?;
        let last = rest.strip_suffix('\n')?.rsplit('\n').next()?;
        let lines = rest.get(..rest.len().checked_sub(last.len())?.checked_sub(1)?)?;
        let intent = Self {
            plan_hash: Digest::from_hex(plan_hash)?,
            kept: Digest::from_hex(kept)?,
            lines: lines.to_owned(),
        };
        let whole = Digest::of(lines.as_bytes()) == intent.plan_hash && intent.encode() == bytes;
        whole.then_some(intent)
    }

    /// Makes the intent durable in a state root.
    ///
    /// # Errors
    /// As they are before the intent can be seen: nothing has changed. [`ResetError::Midway`]
    /// after: it may or may not survive a power cut, and a run that finds it finishes.
    pub(crate) fn write(&self, ops: &mut dyn Ops, root: &Directory) -> Result<(), ResetError> {
        let reserved = ensure(ops, root, RESERVED, RESERVED_URI)?;
        let fail = |op| move |errno| ResetError::io(op, INTENT_URI, errno);
        make_way(ops, &reserved, INTENT_NEW).map_err(fail("rename"))?;
        match ops.unlink(reserved.as_fd(), INTENT_NEW) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(fail("unlink")(errno)),
        }
        let file = ops
            .create(reserved.as_fd(), INTENT_NEW)
            .map_err(fail("create"))?;
        let bytes = self.encode();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let written = ops.write(file.as_fd(), rest).map_err(fail("write"))?;
            if written == 0 {
                return Err(fail("write")(Errno::NOSPC));
            }
            rest = rest.get(written..).unwrap_or_default();
        }
        ops.sync(file.as_fd()).map_err(fail("fsync"))?;
        make_way(ops, &reserved, INTENT).map_err(fail("rename"))?;
        let place = reserved.as_fd();
        ops.rename((place, INTENT_NEW), (place, INTENT), Collision::Replace)
            .map_err(fail("rename"))?;
        for directory in [&reserved, root] {
            ops.sync(directory.as_fd())
                .map_err(|errno| fail("fsync")(errno).midway())?;
        }
        Ok(())
    }
}

/// Makes an intent durable that was found in a state root.
pub(crate) fn make_durable(ops: &mut dyn Ops, root: &Directory) -> Result<(), ResetError> {
    let fail = |errno| ResetError::io("fsync", INTENT_URI, errno);
    let reserved = root.open(RESERVED).map_err(fail)?;
    let file = reserved.open_file(INTENT, OFlags::empty()).map_err(fail)?;
    ops.sync(file.as_fd()).map_err(fail)?;
    for directory in [&reserved, root] {
        ops.sync(directory.as_fd()).map_err(fail)?;
    }
    Ok(())
}

/// Where a state root stands, before a run.
#[derive(Debug)]
pub(crate) enum Standing {
    /// No reset has left anything here.
    Clean,
    /// The reserved directory is there and no intent: litter, to be removed by the next reset.
    Litter,
    /// A reset began and has to be finished; its intent, if it can still be read.
    Begun(Option<Intent>),
}

impl Standing {
    /// Looks at a state root.
    ///
    /// An intent that cannot be read counts only if the trash is there too: then targets have
    /// moved.
    pub(crate) fn of(root: &Directory) -> Result<Self, ResetError> {
        let reserved = match root.open(RESERVED) {
            Ok(reserved) => reserved,
            Err(Errno::NOENT) => return Ok(Self::Clean),
            Err(Errno::XDEV) => {
                return Err(ResetError::MountPoint {
                    path: RESERVED_URI.into(),
                });
            }
            Err(errno) => return Err(taken(root, errno)),
        };
        match read(&reserved)? {
            Found::Nothing => Ok(Self::Litter),
            Found::Whole(intent) => Ok(Self::Begun(Some(intent))),
            Found::Torn if reserved.open(TRASH).is_ok() => Ok(Self::Begun(None)),
            Found::Torn => Ok(Self::Litter),
        }
    }
}

enum Found {
    Nothing,
    Torn,
    Whole(Intent),
}

fn read(reserved: &Directory) -> Result<Found, ResetError> {
    let fail = |op| move |errno| ResetError::io(op, INTENT_URI, errno);
    let stat = match reserved.stat(INTENT) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(Found::Nothing),
        Err(errno) => return Err(fail("statx")(errno)),
    };
    let size = usize::try_from(stat.stx_size)
        .ok()
        .filter(|&size| size <= INTENT_BYTES_MAX);
    let regular = FileType::from_raw_mode(stat.stx_mode.into()) == FileType::RegularFile;
    let Some(size) = size.filter(|_| regular) else {
        return Ok(Found::Torn);
    };
    let file = reserved
        .open_file(INTENT, OFlags::empty())
        .map_err(fail("open"))?;
    let mut bytes = vec![0; size];
    let got = read_at(&file, &mut bytes, 0).map_err(fail("read"))?;
    bytes.truncate(got);
    Ok(Intent::decode(&bytes).map_or(Found::Torn, Found::Whole))
}

/// Moves a directory called `name` out of its place; it is litter, like all else there.
fn make_way(ops: &mut dyn Ops, reserved: &Directory, name: &CStr) -> Result<(), Errno> {
    let place = reserved.as_fd();
    for number in 0_u64.. {
        let kind = match reserved.stat(name) {
            Ok(stat) => FileType::from_raw_mode(stat.stx_mode.into()),
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        if kind != FileType::Directory {
            return Ok(());
        }
        let litter = CString::new(format!("litter.{number}")).map_err(|_| Errno::INVAL)?;
        match ops.rename((place, name), (place, &litter), Collision::Refuse) {
            Ok(()) | Err(Errno::EXIST | Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Opens the directory `name`, making it if it is not there.
pub(crate) fn ensure(
    ops: &mut dyn Ops,
    parent: &Directory,
    name: &CStr,
    uri: &str,
) -> Result<Directory, ResetError> {
    match ops.mkdir(parent.as_fd(), name) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(ResetError::io("mkdir", uri, errno)),
    }
    match parent.open(name) {
        Ok(directory) => Ok(directory),
        Err(Errno::XDEV) => Err(ResetError::MountPoint { path: uri.into() }),
        Err(errno) => Err(ResetError::io("open", uri, errno)),
    }
}

fn taken(root: &Directory, errno: Errno) -> ResetError {
    let kind = root
        .stat(RESERVED)
        .map(|stat| FileType::from_raw_mode(stat.stx_mode.into()));
    match kind {
        Ok(kind) if kind != FileType::Directory => ResetError::ReservedTaken {
            kind: EntryKind::of(kind),
        },
        _ => ResetError::io("open", RESERVED_URI, errno),
    }
}

#[cfg(test)]
mod tests;
