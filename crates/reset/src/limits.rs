/// Most top-level entries a state root may have.
///
/// The plan and the intent hold every name; this bounds both. A root with more is refused before
/// anything changes. `docs/provisioning/factory-reset.md`, "Limits".
pub(crate) const TOP_ENTRIES_MAX: usize = 16_384;

/// Longest intent that is read back, in bytes.
pub(crate) const INTENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Longest canonical line: `PRESERVE`, `state:/`, 255 bytes of name at three characters each,
/// the type, the flag and four separators.
const LINE_BYTES_MAX: usize = 8 + 7 + 3 * 255 + 12 + 7 + 4;
const _: () = assert!(TOP_ENTRIES_MAX * LINE_BYTES_MAX + 4096 <= INTENT_BYTES_MAX);

/// Most entries in the kept set, which is listed in memory one path of directories at a time.
pub(crate) const KEPT_ENTRIES_MAX: u64 = 1_000_000;

/// Directories of the kept set that are open at once; deeper ones are reopened on the way back.
pub(crate) const KEPT_OPEN_MAX: usize = 32;

/// Kept trust roots that a report names one by one; more are only counted.
pub(crate) const TRUST_ROOTS_MAX: usize = 256;

/// Bytes read at once, and the grain at which holes in kept files are skipped.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// Room for directory entries read at once, in bytes; the longest entry takes under 300.
pub(crate) const LISTING_BYTES: usize = 32 * 1024;

/// Passes over one directory before giving up on someone who keeps filling it.
pub(crate) const PASSES_MAX: u32 = 1_000;

/// Looks at the root before giving up on someone who keeps making new entries there.
pub(crate) const ROUNDS_MAX: u32 = 64;

/// Targets moved away between two syncs of the directories.
pub(crate) const MOVES_PER_SYNC: usize = 64;

/// Deleted entries between two progress events.
pub(crate) const DELETED_PER_EVENT: u64 = 4_096;

/// Longest path named in an error, in bytes.
pub(crate) const PATH_SHOWN_BYTES_MAX: usize = 1_024;

/// Longest `/etc/passwd` read for home directories, in bytes.
pub(crate) const PASSWD_BYTES_MAX: u64 = 4 * 1024 * 1024;
