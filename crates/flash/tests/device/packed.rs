//! Blocks that come packed, and blocks that need not come.

use nx_flash::device::{DeviceConfig, Request};
use nx_flash::pack::pack;
use nx_flash::storage::MemoryStore;
use nx_flash::wire::{Codec, FromDevice, OfferFlags, Packed, RejectCode, Writer};
use nx_image::SegmentKind;
use nx_image::test_image::{TestImage, random_bytes};
use rstest::rstest;

use crate::bench::{Bench, needed};
use crate::image::{self, BLOCK};

const NOTHING: OfferFlags = OfferFlags {
    restart: false,
    wipe_state: false,
    update_bootloader: false,
};

fn text(bytes: usize) -> Vec<u8> {
    let lines = (0..).flat_map(|line| format!("{line}: {}\n", line * line).into_bytes());
    lines.take(bytes).collect()
}

fn image_of_text() -> TestImage {
    image::of(vec![(SegmentKind::Rootfs, text(3 * BLOCK + 700))])
}

fn packed(block: &[u8]) -> Vec<u8> {
    pack(Codec::Deflate, block).unwrap()
}

impl Bench<MemoryStore> {
    /// A slice of a block at this offset that is packed to so many bytes.
    fn packed_slice(&mut self, offset: u64, bytes: usize, from: usize, slice: &[u8]) {
        let front = Packed {
            address: u32::try_from((offset + from as u64) / 64).unwrap(),
            codec: Codec::Deflate,
            bytes: u32::try_from(bytes).unwrap(),
        };
        let mut payload = Vec::new();
        front.emit(&mut Writer::new(&mut payload));
        payload.extend(slice);
        self.packed_payload(&payload);
    }

    fn packed_whole(&mut self, offset: u64, packed: &[u8]) {
        self.packed_slice(offset, packed.len(), 0, packed);
    }
}

fn bench() -> Bench<MemoryStore> {
    let mut bench = Bench::new(MemoryStore::new());
    assert_eq!(bench.hello().codecs, Codec::Deflate.bit());
    bench
}

#[test]
fn slices_of_a_packed_block_in_any_cut_and_order_make_the_block() {
    let (mut bench, image) = (bench(), image_of_text());
    let needs = bench.begin(&image, NOTHING);
    for (offset, block) in needed(&image, &needs) {
        let packed = packed(&block);
        let len = packed.len();
        assert!(len > 200 && len < block.len() / 2, "{len}");
        for (from, to) in [(128, len), (0, 64), (64, 192.min(len)), (0, len)] {
            bench.packed_slice(offset, len, from, &packed[from..to]);
        }
    }
    bench.done(&image);
    assert_eq!(bench.store.installed().unwrap(), image.bytes);
    assert_eq!(bench.store.writes(), 4);
}

#[test]
fn what_unpacks_to_another_block_is_asked_for_again() {
    let (mut bench, image) = (bench(), image_of_text());
    let needs = bench.begin(&image, NOTHING);
    let blocks = needed(&image, &needs);
    let (offset, block) = &blocks[1];
    let good = packed(block);
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 4;
    let mut longer = block.clone();
    longer.push(0);
    let bad = [
        flipped,
        good[..good.len() - 1].to_vec(),
        [&good[..], &[0]].concat(),
        packed(&block[..BLOCK - 1]),
        packed(&longer),
        // Hundreds of times the block.
        packed(&vec![0; 512 * BLOCK]),
        random_bytes(500, 3),
    ];
    for bytes in &bad {
        bench.packed_whole(*offset, bytes);
        let said = bench.take_said();
        let [FromDevice::Need(need)] = &said[..] else {
            panic!("{said:?}")
        };
        assert_eq!(need.bitmap, [0b10]);
    }
    for (offset, block) in &blocks {
        bench.packed_whole(*offset, &packed(block));
    }
    bench.done(&image);
    assert_eq!(bench.store.installed().unwrap(), image.bytes);
}

#[test]
fn a_block_that_begins_anew_in_another_form_counts_only_that_form() {
    let (mut bench, image) = (bench(), image_of_text());
    let needs = bench.begin(&image, NOTHING);
    for (offset, block) in needed(&image, &needs) {
        let packed = packed(&block);
        bench.data(offset, &block[..64]);
        bench.packed_slice(offset, packed.len(), 0, &packed[..64]);
        // Were the first 64 bytes kept, this would be all.
        bench.data(offset + 64, &block[64..]);
        bench.packed_slice(offset, packed.len(), 64, &packed[64..]);
        bench.packed_slice(offset, packed.len(), 0, &packed[..64]);
    }
    bench.done(&image);
    assert_eq!(bench.store.installed().unwrap(), image.bytes);
    assert_eq!(bench.store.writes(), 4);
}

#[rstest]
#[case::as_long_as_the_block(BLOCK, 0, 64)]
#[case::longer_than_the_block(BLOCK + 64, 0, 64)]
#[case::past_its_end(100, 64, 64)]
#[case::not_in_units(200, 0, 65)]
#[case::empty(200, 64, 0)]
fn a_slice_that_does_not_fit_is_refused(
    #[case] bytes: usize,
    #[case] from: usize,
    #[case] len: usize,
) {
    let (mut bench, image) = (bench(), image_of_text());
    bench.begin(&image, NOTHING);
    bench.packed_slice(0, bytes, from, &vec![0; len]);
    assert_eq!(bench.rejected(), RejectCode::Address);
}

#[rstest]
#[case::unknown_codec(&[0, 0, 0, 0, 64, 0, 0, 2, 9, 9])]
#[case::no_codec(&[0, 0, 0, 0, 64, 0, 0, 0, 9, 9])]
#[case::of_no_bytes(&[0, 0, 0, 0, 0, 0, 0, 1, 9, 9])]
#[case::cut_short(&[0, 0, 0, 0, 64, 0, 0])]
fn a_front_that_says_nothing_is_refused(#[case] payload: &[u8]) {
    let (mut bench, image) = (bench(), image_of_text());
    bench.begin(&image, NOTHING);
    bench.packed_payload(payload);
    assert_eq!(bench.rejected(), RejectCode::Malformed);
}

#[test]
fn a_device_without_the_codec_says_so_and_takes_none() {
    let mut config = DeviceConfig::new(vec![TestImage::key()], 7);
    config.codecs = 0;
    let mut bench = Bench::with(MemoryStore::new(), config);
    assert_eq!(bench.hello().codecs, 0);
    let image = image_of_text();
    let needs = bench.begin(&image, NOTHING);
    let (offset, block) = &needed(&image, &needs)[0];
    bench.packed_whole(*offset, &packed(block));
    assert_eq!(bench.rejected(), RejectCode::Malformed);
}

/// Text, zeros and text, of which the second segment ends in zeros in the middle of a block.
fn image_with_zeros() -> TestImage {
    let kernel = [text(BLOCK), vec![0; 5 * BLOCK], text(BLOCK)].concat();
    let rootfs = [text(2 * BLOCK), vec![0; BLOCK + 700]].concat();
    let segments = [(SegmentKind::Kernel, kernel), (SegmentKind::Rootfs, rootfs)];
    image::of(segments.into())
}

#[test]
fn zero_blocks_are_written_and_never_asked_for() {
    let (mut bench, image) = (bench(), image_with_zeros());
    let needs = bench.begin(&image, NOTHING);
    let bitmaps: Vec<_> = needs.iter().map(|need| need.bitmap.clone()).collect();
    assert_eq!(bitmaps, [vec![0b100_0001], vec![0b11]]);
    assert_eq!(bench.grant().0, 7, "they count as received");
    bench.fill(&image, &needs);
    bench.done(&image);
    assert_eq!(bench.store.installed().unwrap(), image.bytes);
    assert_eq!(bench.store.writes(), 11);
}

#[test]
fn zero_blocks_are_written_one_at_a_time_and_done_waits_for_them() {
    let (mut bench, image) = (bench(), image_with_zeros());
    let needs = bench.begin(&image, NOTHING);
    bench.fill(&image, &needs);
    bench.done(&image);
    let place = |wanted: fn(&Request) -> bool| bench.requests.iter().rposition(wanted);
    let last_write = place(|request| matches!(request, Request::Write { .. }));
    let first_sync = bench
        .requests
        .iter()
        .position(|request| *request == Request::Sync);
    assert!(last_write < first_sync, "{last_write:?} {first_sync:?}");
}

#[test]
fn a_zero_block_that_rots_is_asked_for_like_any_other() {
    let (mut bench, image) = (bench(), image_with_zeros());
    let needs = bench.begin(&image, NOTHING);
    bench.fill(&image, &needs);
    bench.store.rot_staged(2 * BLOCK + 5);
    bench.done(&image);
    let said = bench.take_said();
    let [FromDevice::Need(need)] = &said[..] else {
        panic!("{said:?}")
    };
    assert_eq!(need.bitmap, [0b100]);
    bench.packed_whole(2 * BLOCK as u64, &packed(&[0; BLOCK]));
    bench.done(&image);
    assert_eq!(bench.store.installed().unwrap(), image.bytes);
}
