//! Blocks that go packed.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::bench::{BLOCK, Bench, NONCE, SESSION};
use super::image::{Image, need};
use crate::host::{Failure, Outcome, Request};
use crate::machine::Machine as _;
use crate::wire::{Codec, FromDevice, FromHost, Kind, Packed, Reader};

/// With a device that has these codecs and needs the first segment's blocks of these bits.
fn accepted(image: &Image, codecs: u32, bits: u8) -> Bench {
    let mut bench = Bench::new(image.job());
    bench.hellos();
    bench.codecs = codecs;
    // A line of some hundred kilobytes a second.
    bench.flight = Duration::from_millis(2);
    bench.now = bench.now.after(bench.flight);
    bench.welcome(NONCE, SESSION);
    bench.pump();
    bench.say(&FromDevice::Accepted);
    bench.say(&need(0, bits));
    bench.say(&need(1, 0));
    bench
}

/// What the source answers, packed to so many bytes.
fn packed_to(bytes: usize) -> Outcome {
    Outcome::Packed(Codec::Deflate, (0..=u8::MAX).cycle().take(bytes).collect())
}

#[test]
fn packed_blocks_go_out_with_their_front_and_what_is_lost_of_them_again() {
    let image = Image::new();
    let mut bench = accepted(&image, Codec::bits(), 0b11);
    let mut asked = 0;
    while let Some((id, request)) = bench.host.poll_request() {
        let codec = Some(Codec::Deflate);
        assert!(matches!(request, Request::Block { codec: c, .. } if c == codec));
        let now = bench.now;
        bench.host.handle_done(id, packed_to(3_000), now);
        asked += 1;
    }
    assert_eq!(asked, 2);
    bench.drop = Some((Kind::Packed, 1));
    bench.pump();
    for _ in 0..10 {
        if bench.host.progress().blocks_sent < 2 {
            bench.next_timer();
            bench.pump();
        }
    }
    let mut blocks = [vec![0; 3_000], vec![0; 3_000]];
    for (address, rest) in &bench.data {
        let payload = [&address.to_le_bytes()[..], rest].concat();
        let mut fields = Reader::new(&payload);
        let front = Packed::parse(&mut fields).unwrap();
        assert_eq!((front.codec, front.bytes), (Codec::Deflate, 3_000));
        let at = front.address as usize * 64;
        let block = &mut blocks[at / BLOCK as usize];
        let slice = fields.rest();
        block[at % BLOCK as usize..][..slice.len()].copy_from_slice(slice);
    }
    let Outcome::Packed(_, want) = packed_to(3_000) else {
        panic!("not packed")
    };
    assert_eq!(blocks, [want.clone(), want]);
    let progress = bench.host.progress();
    assert_eq!((progress.blocks_sent, progress.blocks_packed), (2, 2));
    assert_eq!(progress.payload_bytes, 6_000);
    assert!(matches!(bench.messages.last(), Some(FromHost::Done { .. })));
}

#[test]
fn blocks_are_packed_no_more_than_two_ahead_of_the_line() {
    let image = Image::new();
    for (codecs, ahead) in [(Codec::bits(), 2), (0, 3)] {
        let mut bench = accepted(&image, codecs, 0b1_1111);
        let mut asked = Vec::new();
        while let Some((id, _)) = bench.host.poll_request() {
            asked.push(id);
        }
        assert_eq!(asked.len(), ahead, "the window has room for three");
    }
}

#[test]
fn a_device_without_a_codec_is_sent_blocks_as_they_are() {
    let image = Image::new();
    for codecs in [0, 1 << 30] {
        let mut bench = accepted(&image, codecs, 1);
        let (_, request) = bench.host.poll_request().unwrap();
        assert!(matches!(request, Request::Block { codec: None, .. }));
    }
}

#[test]
fn a_source_that_packs_unasked_or_to_no_gain_fails_the_job() {
    let image = Image::new();
    let whole = BLOCK as usize;
    for (codecs, bytes) in [(0, 100), (1, whole), (1, whole + 1), (1, 0)] {
        let mut bench = accepted(&image, codecs, 1);
        let (id, _) = bench.host.poll_request().unwrap();
        let now = bench.now;
        bench.host.handle_done(id, packed_to(bytes), now);
        bench.pump();
        assert!(matches!(bench.failure(), Failure::Source(_)), "{bytes}");
    }
}
