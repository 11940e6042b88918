//! Packing a block, for whoever has an image's file.

use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};

use crate::wire::Codec;

/// How hard `deflate` searches, of 10: more gains half a per cent and takes twice as long.
const DEFLATE_LEVEL: i32 = 6;
/// Windows of up to 32 KiB, and nothing around the stream.
const DEFLATE_RAW: i32 = -15;

/// Packs a block, if that saves at least one byte in 32.
///
/// The same bytes give the same result. It takes up to 450 KiB beside them.
pub fn pack(codec: Codec, block: &[u8]) -> Option<Vec<u8>> {
    let Codec::Deflate = codec;
    let flags = create_comp_flags_from_zip_params(DEFLATE_LEVEL, DEFLATE_RAW, 0);
    let mut packer = CompressorOxide::new(flags);
    // What does not fit in here is not worth it.
    let mut packed = vec![0; block.len().saturating_sub(block.len().div_ceil(32))];
    let (status, taken, len) = compress(&mut packer, block, &mut packed, TDEFLFlush::Finish);
    if status != TDEFLStatus::Done || taken != block.len() {
        return None;
    }
    packed.truncate(len);
    Some(packed)
}

#[cfg(test)]
mod tests {
    use nx_image::test_image::random_bytes;

    use super::*;

    #[test]
    fn what_would_save_less_than_one_byte_in_32_is_left_as_it_is() {
        let mut block = random_bytes(64 * 1_024, 1);
        assert_eq!(pack(Codec::Deflate, &block), None);
        block[..1_024].fill(0);
        assert_eq!(pack(Codec::Deflate, &block), None);
        block[..4_096].fill(0);
        let packed = pack(Codec::Deflate, &block).unwrap();
        assert!(packed.len() < 62 * 1_024, "{}", packed.len());
        assert_eq!(pack(Codec::Deflate, &block).unwrap(), packed);
    }

    #[test]
    fn zeros_pack_to_almost_nothing_and_nothing_does_not() {
        assert!(pack(Codec::Deflate, &[0; 65_536]).unwrap().len() < 100);
        assert_eq!(pack(Codec::Deflate, &[]), None);
    }
}
