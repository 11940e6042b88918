use std::fs::File;
use std::io::{self, BufRead, BufReader};

/// Calls `visit` with every mount point strictly below `root`, relative to it, as raw bytes.
///
/// # Errors
/// What reading the mount table said.
pub(crate) fn below(root: &[u8], visit: impl FnMut(&[u8])) -> io::Result<()> {
    below_in(
        BufReader::new(File::open("/proc/self/mountinfo")?),
        root,
        visit,
    )
}

fn below_in(table: impl BufRead, root: &[u8], mut visit: impl FnMut(&[u8])) -> io::Result<()> {
    // The fifth field of a line is the mount point (proc_pid_mountinfo(5)).
    const MOUNT_POINT: usize = 4;
    for line in table.split(b'\n') {
        let line = line?;
        let Some(field) = line.split(|&byte| byte == b' ').nth(MOUNT_POINT) else {
            continue;
        };
        let point = unescape(field);
        let root = root.strip_suffix(b"/").unwrap_or(root);
        let below = point
            .strip_prefix(root)
            .and_then(|rest| rest.strip_prefix(b"/"));
        if let Some(relative) = below.filter(|relative| !relative.is_empty()) {
            visit(relative);
        }
    }
    Ok(())
}

/// Undoes the table's octal escapes: blank, tab, newline and backslash.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = match rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                Some((a & 3) << 6 | (b & 7) << 3 | (c & 7))
            }
            _ => None,
        };
        plain.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() {
            rest.get(4..).unwrap_or_default()
        } else {
            tail
        };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
30 22 0:26 / /state rw - tmpfs tmpfs rw\n\
31 30 0:27 / /state/apps/a\\040b rw - tmpfs tmpfs rw\n\
32 30 0:28 / /state\\134x rw - tmpfs tmpfs rw\n\
33 22 0:29 / /state2/apps rw - tmpfs tmpfs rw\n\
broken\n";

    fn points_below(root: &[u8]) -> Vec<Vec<u8>> {
        let mut points = Vec::new();
        below_in(TABLE, root, |point| points.push(point.to_vec())).unwrap();
        points
    }

    #[test]
    fn only_what_lies_strictly_below_is_named() {
        assert_eq!(points_below(b"/state"), [b"apps/a b".to_vec()]);
        assert_eq!(points_below(b"/state2"), [b"apps".to_vec()]);
        assert!(points_below(b"/stat").is_empty());
        assert_eq!(points_below(b"/").len(), 4);
    }

    #[test]
    fn escapes_are_undone_and_bad_ones_kept() {
        assert_eq!(unescape(b"\\040\\011\\012\\134"), b" \t\n\\");
        assert_eq!(unescape(b"a\\04"), b"a\\04");
        assert_eq!(unescape(b"\\999"), b"\\999");
        assert_eq!(unescape(b"\\377"), b"\xff");
    }
}
