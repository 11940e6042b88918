//! The bounds of the format (`docs/provisioning/image-format.md`, "Limits").

/// Largest manifest, in bytes.
///
/// A device holds the manifest in memory before it can trust it, so this bounds what a
/// stranger may make it hold. Eight segments need under 4 KiB.
pub const MANIFEST_BYTES_MAX: usize = 64 * 1024;
/// Largest image, in bytes (256 GiB): the wire addresses image data in units of
/// [`OFFSET_ALIGN_BYTES`] as a `u32`.
pub const IMAGE_BYTES_MAX: u64 = 256 << 30;
/// Every segment starts at a multiple of this, in bytes.
pub const OFFSET_ALIGN_BYTES: u64 = 64;
/// Most segments in one manifest.
pub const SEGMENTS_MAX: usize = 16;
/// Longest segment name, in bytes.
pub const NAME_BYTES_MAX: usize = 32;
/// Longest board name and longest image version, in bytes.
pub const LABEL_BYTES_MAX: usize = 64;
/// Largest integer in a manifest: beyond it, readers that keep numbers as IEEE doubles would
/// see another value than we do.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;
/// Smallest block, in bytes. Smaller ones cost more in digests than they save in resends.
pub const BLOCK_BYTES_MIN: u32 = 4 * 1024;
/// Largest block, in bytes. A device buffers at least one.
pub const BLOCK_BYTES_MAX: u32 = 1024 * 1024;
/// The block size of an image whose builder asked for none, in bytes.
pub const BLOCK_BYTES_DEFAULT: u32 = 64 * 1024;
/// Digests in one page of a segment's hash tree: 32 KiB of digests.
pub const PAGE_BLOCKS: u32 = 1024;
/// Most pages in one segment, so that a device can hold all page digests of one (128 KiB).
pub const PAGES_MAX: u32 = 4096;
/// Length of an Ed25519 signature and so of `os.sig`, in bytes (RFC 8032 §5.1.6).
pub const SIGNATURE_BYTES: usize = 64;
/// Largest key file, in bytes. A PEM of an Ed25519 key has under 300.
pub const KEY_FILE_BYTES_MAX: usize = 4 * 1024;

const _: () = assert!(
    IMAGE_BYTES_MAX / OFFSET_ALIGN_BYTES == 1 << 32,
    "offsets fit a u32"
);
const _: () = assert!(IMAGE_BYTES_MAX <= INTEGER_MAX, "sizes are exact in JSON");
const _: () = assert!(BLOCK_BYTES_MIN.is_power_of_two() && BLOCK_BYTES_MAX.is_power_of_two());
const _: () = assert!(
    (BLOCK_BYTES_MIN as u64).is_multiple_of(OFFSET_ALIGN_BYTES),
    "blocks start aligned"
);
const _: () = assert!(
    PAGES_MAX as u64 * PAGE_BLOCKS as u64 * BLOCK_BYTES_DEFAULT as u64 == IMAGE_BYTES_MAX,
    "the default block size reaches the largest image"
);
