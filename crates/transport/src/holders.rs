//! Who stands in the way of a port: permissions, and processes that have it open.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A process that has a port open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// The program's name, without control characters.
    pub name: String,
}

/// The processes that have `path` open, as far as this user may see, sorted by process id.
pub(crate) fn holders(path: &Path) -> Vec<Holder> {
    let Ok(path) = path.canonicalize() else {
        return Vec::new();
    };
    let mut found: Vec<Holder> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
        })
        .filter(|pid| has_open(*pid, &path))
        .map(|pid| Holder {
            pid,
            name: program(pid),
        })
        .collect();
    found.sort();
    found
}

/// The holders in one line, for a message; empty when none can be seen.
pub(crate) fn describe(holders: &[Holder]) -> String {
    let items: Vec<String> = holders
        .iter()
        .map(|holder| format!("{} (process {})", holder.name, holder.pid))
        .collect();
    items.join(", ")
}

/// The group whose members may read and write `path`, when its mode lets the group in at all.
pub(crate) fn group_let_in(path: &Path) -> Option<String> {
    const GROUP_READ_WRITE: u32 = 0o060;
    let metadata = fs::metadata(path).ok()?;
    if metadata.mode() & GROUP_READ_WRITE != GROUP_READ_WRITE {
        return None;
    }
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    Some(group_name(&groups, metadata.gid()).unwrap_or_else(|| metadata.gid().to_string()))
}

fn has_open(pid: u32, path: &Path) -> bool {
    fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten()
        .any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target == path))
}

fn program(pid: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    if name.is_empty() {
        "?".to_owned()
    } else {
        name
    }
}

/// The name of group `gid` in the text of `/etc/group`.
fn group_name(groups: &str, gid: u32) -> Option<String> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(gid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_named_from_the_table() {
        let table = "root:x:0:\nbroken\ndialout:x:20:ann,bob\n";
        assert_eq!(group_name(table, 20), Some("dialout".to_owned()));
        assert_eq!(group_name(table, 21), None);
    }

    #[test]
    fn this_process_is_seen_holding_its_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let found = holders(file.path());
        assert_eq!(
            found.iter().map(|h| h.pid).collect::<Vec<_>>(),
            [std::process::id()]
        );
        assert!(describe(&found).contains(&std::process::id().to_string()));
    }
}
