use alloc::string::String;

use crate::digest::Digest;

/// Why bytes are not a manifest. All of them are for whoever made the manifest to mend;
/// nothing that it describes has been read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// More bytes than any manifest has.
    #[error("manifest of {got} bytes, more than the {max} allowed")]
    TooLong {
        /// Its length, in bytes.
        got: usize,
        /// The longest allowed, in bytes.
        max: usize,
    },
    /// Not a manifest of an OS image: another kind of document, signed or not.
    #[error("not an OS image manifest: it does not start with {want}")]
    OtherFormat {
        /// The bytes that every manifest starts with.
        want: &'static str,
    },
    /// A manifest of another version of the format.
    #[error("manifest format version is not {supported}, the only one this program reads")]
    OtherVersion {
        /// The version that is read.
        supported: u32,
    },
    /// Not JSON, or not with exactly the members that a manifest has.
    #[error("malformed manifest: {what}")]
    Malformed {
        /// What the JSON reader says, with line and column.
        what: String,
    },
    /// The right values in another byte form.
    #[error("manifest is not in its canonical form, from byte {offset} on")]
    NotCanonical {
        /// The first byte that differs from the canonical form.
        offset: usize,
    },
    /// A value outside of its bounds.
    #[error("manifest member `{member}` is out of bounds: {rule}")]
    Bounds {
        /// The member.
        member: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// A segment's value is outside of its bounds.
    #[error("segment {index} of the manifest: `{member}` is out of bounds: {rule}")]
    SegmentBounds {
        /// Position in the list, from 0.
        index: usize,
        /// The member.
        member: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// A segment starts before the one before it ends, or is out of order.
    #[error("segment `{name}` at {offset} overlaps `{before}`, which ends at {end}")]
    Overlap {
        /// The later segment in the list.
        name: String,
        /// Where it starts, in bytes.
        offset: u64,
        /// The segment before it.
        before: String,
        /// Where that one ends, in bytes.
        end: u64,
    },
    /// Two segments of one kind, or in the wrong order.
    #[error("segment `{name}` of type {kind} may not follow one of type {before}")]
    Order {
        /// The later segment in the list.
        name: String,
        /// Its type.
        kind: &'static str,
        /// The type of the segment before it.
        before: &'static str,
    },
    /// The segments do not fit the kind of table that the image claims.
    #[error("an image with table {table} {rule}")]
    TableMismatch {
        /// The claim.
        table: &'static str,
        /// What it demands.
        rule: &'static str,
    },
    /// The digest of the installed image does not follow from the segments' digests.
    #[error("installed_sha256 is {got}, but the segments give {want}")]
    InstalledDigest {
        /// Computed from the segments.
        want: Digest,
        /// Read.
        got: Digest,
    },
}
