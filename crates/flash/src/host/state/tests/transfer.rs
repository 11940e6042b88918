//! What of an image is sent.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use super::bench::{BLOCK, Bench, NONCE, SESSION};
use super::image::{Image, installed, need};
use crate::host::{Event, Outcome};
use crate::machine::Machine as _;
use crate::wire::{FromDevice, FromHost, Kind, Object, OfferFlags};

#[test]
fn an_offer_is_the_signature_and_the_manifest() {
    let image = Image::new();
    let bench = Bench::connected(image.job());
    let offer = [image.signature.as_slice(), &image.manifest_bytes].concat();
    let flags = OfferFlags {
        restart: false,
        wipe_state: true,
        update_bootloader: false,
    };
    let bytes = offer.len() as u32;
    assert_eq!(bench.messages[0], FromHost::Offer { bytes, flags });
    assert!(
        matches!(
            bench.messages[1..],
            [FromHost::Write { .. }, FromHost::Write { .. }]
        ),
        "it asks before the offer is accepted: {:?}",
        bench.messages
    );
    let mut arrived = vec![0; offer.len()];
    for (object, offset, data) in &bench.objects {
        assert_eq!(*object, Object::Offer.number());
        arrived[*offset as usize..][..data.len()].copy_from_slice(data);
    }
    assert_eq!(arrived, offer);
}

#[test]
fn a_transfer_sends_what_is_needed_and_nothing_else() {
    let image = Image::new();
    let mut bench = image.accepted();
    let write = |segment: &str| FromHost::Write {
        segment: segment.into(),
    };
    assert_eq!(bench.messages[1..], [write("kernel"), write("pkgfs")]);
    bench.objects.clear();
    bench.say(&FromDevice::Want(Object::Page {
        segment: 1,
        page: 0,
    }));
    assert_eq!(bench.serve(&image), 1);
    bench.pump();
    let page = Object::Page {
        segment: 1,
        page: 0,
    };
    assert_eq!(bench.objects, [(page.number(), 0, vec![1; 96])]);

    assert_eq!(bench.host.progress().blocks_skipped(), 0);
    bench.say(&need(0, 0b0001_0110));
    assert_eq!(bench.host.progress().blocks_skipped(), 2);
    bench.say(&need(1, 0b0000_0100));
    while bench.serve(&image) > 0 {
        bench.pump();
    }
    assert!(bench.saw(&Event::Planned {
        segment: 1,
        kept: false
    }));
    let mut blocks: BTreeMap<u32, usize> = BTreeMap::new();
    for (address, data) in &bench.data {
        let from = *address as usize * 64;
        assert_eq!(*data, image.bytes[from..from + data.len()]);
        *blocks.entry(*address / 64).or_default() += data.len();
    }
    let half = BLOCK as usize / 2;
    let whole = BLOCK as usize;
    assert_eq!(
        blocks.into_iter().collect::<Vec<_>>(),
        [(1, whole), (2, whole), (4, whole), (7, half)]
    );
    let manifest = image.digest();
    assert_eq!(bench.messages.last(), Some(&FromHost::Done { manifest }));
    let progress = bench.host.progress();
    assert_eq!(progress.payload_bytes, 3 * 4_096 + 2_048);
    assert_eq!((progress.blocks_total, progress.blocks_needed), (8, 4));
    assert_eq!(progress.blocks_skipped(), 4);
    assert_eq!((progress.blocks_sent, progress.retransmitted_bytes), (4, 0));

    bench.say(&need(0, 0b0000_0010));
    while bench.serve(&image) > 0 {
        bench.pump();
    }
    let done = FromHost::Done { manifest };
    let dones = bench.messages.iter().filter(|message| **message == done);
    assert_eq!(dones.count(), 2, "a block that was needed again");
    bench.say(&installed(&image));
    assert_eq!(bench.events.last(), Some(&Event::Finished));
    assert!(bench.host.is_finished());
}

#[test]
fn open_blocks_stay_within_the_window() {
    let image = Image::new();
    let mut bench = image.accepted();
    bench.say(&need(0, 0b0001_1111));
    let mut asked = Vec::new();
    while let Some((id, request)) = bench.host.poll_request() {
        asked.push((id, image.answer(&request)));
    }
    assert_eq!(asked.len(), 3);
    for (id, bytes) in asked {
        let now = bench.now;
        bench.host.handle_done(id, Outcome::Bytes(bytes), now);
    }
    assert!(bench.host.poll_request().is_none());
    bench.peer.set_grant(BLOCK, 0, 0);
    bench.pump();
    assert!(bench.host.poll_request().is_some(), "all have arrived");
    assert!(bench.host.poll_request().is_none(), "the window shrank");
}

#[test]
fn what_is_lost_is_sent_again_and_counted() {
    let image = Image::new();
    let mut bench = image.accepted();
    bench.say(&need(0, 0b0000_0011));
    bench.say(&need(1, 0));
    bench.serve(&image);
    bench.drop = Some((Kind::Data, 1));
    bench.pump();
    let arrived = |bench: &Bench| bench.data.iter().map(|(_, data)| data.len()).sum::<usize>();
    for _ in 0..10 {
        if arrived(&bench) < 2 * BLOCK as usize {
            bench.next_timer();
            bench.pump();
        }
    }
    assert_eq!(arrived(&bench), 2 * BLOCK as usize);
    assert!(matches!(bench.messages.last(), Some(FromHost::Done { .. })));
    let progress = bench.host.progress();
    assert!(progress.retransmitted_bytes >= 128, "{progress:?}");
    assert_eq!(progress.payload_bytes, 2 * 4_096);
    assert_eq!(progress.blocks_sent, 2);
}

#[test]
fn what_is_lost_again_and_again_goes_out_in_ever_smaller_frames() {
    let image = Image::new();
    let mut bench = Bench::new(image.job());
    bench.hellos();
    bench.drop = Some((Kind::Meta, 6));
    bench.welcome(NONCE, SESSION);
    bench.pump();
    let offer = [image.signature.as_slice(), &image.manifest_bytes].concat();
    let mut arrived = vec![0; offer.len()];
    let mut largest = 0;
    while arrived != offer {
        assert!(bench.events.len() == 1, "gave up: {:?}", bench.events);
        bench.next_timer();
        bench.pump();
        for (_, offset, data) in bench.objects.drain(..) {
            arrived[offset as usize..][..data.len()].copy_from_slice(&data);
            largest = largest.max(data.len());
        }
    }
    assert!(largest <= 256, "{largest} bytes in one frame");
}

#[test]
fn what_is_needed_again_waits_for_its_earlier_slices() {
    let image = Image::new();
    let mut bench = image.accepted();
    bench.say(&need(1, 0));
    bench.say(&need(0, 0b0000_0001));
    assert_eq!(bench.serve(&image), 1);
    bench.drop = Some((Kind::Data, 100));
    bench.pump();
    let arrived = |bench: &Bench| bench.data.iter().map(|(_, data)| data.len()).sum::<usize>();
    let block = BLOCK as usize;
    bench.say(&need(0, 0b0000_0011));
    bench.drop = None;
    assert_eq!(bench.serve(&image), 1, "only the other one begins");
    while arrived(&bench) < 2 * block {
        bench.next_timer();
        bench.pump();
    }
    assert_eq!(bench.serve(&image), 1, "now it is settled");
    bench.pump();
    assert_eq!(arrived(&bench), 3 * block);
    let dones = bench.messages.iter();
    let dones = dones.filter(|message| matches!(message, FromHost::Done { .. }));
    assert_eq!(
        dones.count(),
        2,
        "once all is under way, and again after more was needed"
    );

    let page = Object::Page {
        segment: 0,
        page: 0,
    };
    bench.objects.clear();
    bench.say(&FromDevice::Want(page));
    assert_eq!(bench.serve(&image), 1);
    bench.drop = Some((Kind::Meta, 1));
    bench.pump();
    bench.say(&FromDevice::Want(page));
    assert_eq!(bench.serve(&image), 0, "the first is on its way");
    while bench.objects.is_empty() {
        bench.next_timer();
        bench.pump();
    }
    assert_eq!(bench.serve(&image), 1);
    bench.pump();
    assert_eq!(bench.objects.len(), 2);
}

#[test]
fn bits_behind_the_last_block_are_no_blocks() {
    let image = Image::new();
    let mut bench = image.accepted();
    bench.say(&need(1, 0xff));
    assert_eq!(bench.host.progress().blocks_needed, 3);
}

#[test]
fn what_is_installed_has_arrived_acknowledged_or_not() {
    let image = Image::new();
    let mut bench = image.accepted();
    bench.say(&need(0, 0b0000_0110));
    bench.say(&need(1, 0));
    while bench.serve(&image) > 0 {
        // The host sends, and hears of no frame that it arrived.
        bench.frames();
    }
    assert_eq!(bench.host.progress().blocks_sent, 0);
    bench.say(&installed(&image));
    let progress = bench.host.progress();
    assert_eq!((progress.blocks_sent, progress.blocks_needed), (2, 2));
}
