//! Unpacking a block that came packed.

use alloc::boxed::Box;
use alloc::vec::Vec;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use crate::limits::UNPACK_BYTES_MAX;
use crate::wire::Codec;

const _: () = assert!(size_of::<DecompressorOxide>() <= UNPACK_BYTES_MAX);

/// The block of so many bytes that was packed to these; nothing if there is none, or they hold
/// anything else as well.
///
/// Takes [`UNPACK_BYTES_MAX`] beside the block, whatever the bytes say.
pub(super) fn unpack(codec: Codec, packed: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let Codec::Deflate = codec;
    let mut state = Box::<DecompressorOxide>::default();
    let mut block = alloc::vec![0; bytes];
    let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let (status, taken, len) = decompress(&mut state, packed, &mut block, 0, flags);
    let whole = status == TINFLStatus::Done && taken == packed.len() && len == bytes;
    whole.then_some(block)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// From zlib: `compressobj(9, DEFLATED, -15)`.
    const OF_ZLIB: &[u8] = &[0xcb, 0xab, 0x50, 0xc8, 0x43, 0x47, 0x5c, 0x00];

    #[test]
    fn a_stream_of_another_packer_unpacks_to_its_length_and_no_other() {
        let text = b"nx nx nx nx nx nx nx\n";
        let got = |bytes| unpack(Codec::Deflate, OF_ZLIB, bytes);
        assert_eq!(got(text.len()).as_deref(), Some(&text[..]));
        for bytes in [0, 1, text.len() - 1, text.len() + 1, 1 << 20] {
            assert_eq!(got(bytes), None, "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_unpacked_or_not_and_nothing_else(
            packed in proptest::collection::vec(any::<u8>(), 0..400),
            bytes in 0..5_000_usize,
        ) {
            if let Some(block) = unpack(Codec::Deflate, &packed, bytes) {
                prop_assert_eq!(block.len(), bytes);
            }
        }

        #[cfg(feature = "std")]
        #[test]
        fn what_is_packed_unpacks_and_is_shorter(
            words in proptest::collection::vec(0..40_u16, 0..3_000),
        ) {
            let block: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            match crate::pack::pack(Codec::Deflate, &block) {
                Some(packed) => {
                    prop_assert!(packed.len() <= block.len().saturating_sub(block.len() / 32));
                    prop_assert_eq!(unpack(Codec::Deflate, &packed, block.len()), Some(block));
                }
                None => prop_assert!(block.len() < 100, "{} bytes", block.len()),
            }
        }
    }
}
