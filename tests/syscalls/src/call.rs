//! A system call, as `strace` writes it down.

use std::collections::BTreeMap;
use std::fmt;

/// What is traced: every call by which a program changes files, names, or what its peer sees.
pub(crate) const TRACED: &str = "\
    openat,openat2,creat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,\
    fallocate,rename,renameat,renameat2,unlink,unlinkat,rmdir,link,linkat,mkdir,\
    mkdirat,symlink,symlinkat,mknodat,fsync,fdatasync,sync_file_range,syncfs,fchmod,\
    fchmodat,fchown,fchownat,utimensat,copy_file_range,sendfile,sendto,sendmsg,\
    splice,bind,flock,ioctl,fsetxattr,fremovexattr";

/// Files that belong to the system: opening them is the loader's matter, not ours.
const FOREIGN: &[&str] = &["/etc/", "/lib", "/usr/", "/proc/", "/sys/", "/dev/null"];

/// Calls of these kinds take no room, so that a full disk does not make them fail.
const ROOMLESS: &[&str] = &[
    "unlink", "unlinkat", "rmdir", "sendto", "sendmsg", "flock", "bind", "fchmod", "fchmodat",
    "fchown", "fchownat", "ioctl",
];

/// One call of a program, found again by its name and number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// Its name.
    pub(crate) name: String,
    /// How many of that name its thread had made, this one included.
    pub(crate) number: u32,
    /// Whether another thread than the first made it.
    pub(crate) is_aside: bool,
    /// Its arguments and result.
    pub(crate) text: String,
}

impl Call {
    /// The calls of a log that are worth an injection, in their order; each once. The numbers of
    /// what happens aside begin where `begins` says in the log.
    pub(crate) fn of_log(log: &str, begins: &str) -> Vec<Self> {
        let mut counts: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        let mut calls: Vec<Self> = Vec::new();
        let mut opened: BTreeMap<&str, Self> = BTreeMap::new();
        let mut first = None;
        let mut has_begun = begins.is_empty();
        for (thread, name, text) in log.lines().filter_map(read) {
            let is_aside = *first.get_or_insert(thread) != thread;
            has_begun |= text.contains(begins);
            if is_aside && !has_begun {
                continue;
            }
            let count = counts.entry((thread, name)).or_default();
            *count = count.saturating_add(1);
            let call = Self {
                name: name.to_owned(),
                number: *count,
                is_aside,
                text: text.to_owned(),
            };
            // What is opened to be read is of interest if it is a folder that is to be synced.
            let before = opened.remove(thread).filter(|_| name == "fsync");
            if call.only_reads() {
                opened.insert(thread, call);
                continue;
            }
            for call in before.into_iter().chain([call]) {
                if call.is_ours() && !calls.iter().any(|known| known.is_at(&call)) {
                    calls.push(call);
                }
            }
        }
        calls
    }

    fn is_at(&self, other: &Self) -> bool {
        (&self.name, self.number, self.is_aside) == (&other.name, other.number, other.is_aside)
    }

    fn only_reads(&self) -> bool {
        self.name.starts_with("openat")
            && !["O_CREAT", "O_TMPFILE", "O_TRUNC", "O_RDWR", "O_WRONLY"]
                .iter()
                .any(|flag| self.text.contains(flag))
    }

    fn is_ours(&self) -> bool {
        match self.name.as_str() {
            "openat" | "openat2" | "creat" => {
                let path = self.text.split('"').nth(1).unwrap_or_default();
                !FOREIGN.iter().any(|folder| path.starts_with(folder))
                    && !self.text.contains("= -1 ENOENT")
            }
            "ioctl" => ["FICLONE", "SETFLAGS", "BLKDISCARD", "BLKZEROOUT"]
                .iter()
                .any(|request| self.text.contains(request)),
            _ => true,
        }
    }

    /// Whether it can fail for want of room.
    pub(crate) fn takes_room(&self) -> bool {
        !self.only_reads() && !ROOMLESS.contains(&self.name.as_str())
    }

    /// Whether it is for the other program.
    pub(crate) fn is_to_peer(&self) -> bool {
        matches!(self.name.as_str(), "sendto" | "sendmsg")
    }

    /// Whether it removes a name: what it was to remove is then still there.
    pub(crate) fn removes(&self) -> bool {
        matches!(self.name.as_str(), "unlink" | "unlinkat" | "rmdir")
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let aside = if self.is_aside { ":aside" } else { "" };
        write!(f, "{}:{}{aside}", self.name, self.number)
    }
}

/// The thread, the name and the rest of a line; nothing for a line that is no call's beginning.
fn read(line: &str) -> Option<(&str, &str, &str)> {
    let (thread, rest) = line.split_once(' ')?;
    let (name, text) = rest.trim_start().split_once('(')?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (!name.is_empty() && name.bytes().all(is_name)).then_some((thread, name, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
10 openat(AT_FDCWD</r>, \"/etc/ld.so.cache\", O_RDONLY|O_CLOEXEC) = 3</etc/ld.so.cache>
10 openat(AT_FDCWD</r>, \"/r/a\", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 3</r/a>
11 write(3</r/a>, \"before\", 1) = 1
10 write(1<pipe:[7]>, \"ready\", 4) = 4
11 write(3</r/a>, \"x\", 1 <unfinished ...>
10 write(3</r/a>, \"y\", 1) = 1
11 <... write resumed>) = 1
10 ioctl(2</dev/pts/0>, TCGETS, {c_iflag=ICRNL}) = 0
10 --- SIGTERM {si_signo=SIGTERM} ---
10 openat(AT_FDCWD</r>, \"/r/read\", O_RDONLY) = 4</r/read>
10 openat(AT_FDCWD</r>, \"/r\", O_RDONLY) = 4</r>
10 fsync(4</r>) = 0
10 unlink(\"/r/a\") = 0
10 +++ exited with 0 +++
";

    fn names(begins: &str) -> Vec<String> {
        let calls = Call::of_log(LOG, begins);
        calls.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn calls_are_numbered_by_thread_and_name_with_those_of_the_loader() {
        let synced = ["openat:4", "fsync:1", "unlink:1"];
        let all = [
            "openat:2",
            "write:1:aside",
            "write:1",
            "write:2:aside",
            "write:2",
        ];
        assert_eq!(names(""), [&all[..], &synced].concat());
        let late = ["openat:2", "write:1", "write:1:aside", "write:2"];
        assert_eq!(names("\"ready\""), [&late[..], &synced].concat());
    }

    #[test]
    fn a_full_disk_refuses_what_takes_room() {
        let calls = Call::of_log(LOG, "");
        let takes: Vec<bool> = calls.iter().map(Call::takes_room).collect();
        assert_eq!(takes, [true, true, true, true, true, false, true, false]);
        assert!(calls[7].removes());
    }
}
