//! From `WRITE` to `INSTALLED`.

use std::time::Duration;

use nx_flash::device::{Event, Outcome, Request, StoreError};
use nx_flash::machine::Machine as _;
use nx_flash::storage::{MemoryStore, Store as _};
use nx_flash::wire::{FromDevice, FromHost, Object, OfferFlags, RejectCode, Verdict};
use nx_image::SegmentKind;
use nx_image::test_image::{TestImage, random_bytes};

use crate::bench::{Bench, needed};
use crate::image::{self, BLOCK};

fn bench() -> Bench<MemoryStore> {
    let mut bench = Bench::new(MemoryStore::new());
    bench.hello();
    bench
}

const NOTHING: OfferFlags = OfferFlags {
    restart: false,
    wipe_state: false,
    update_bootloader: false,
};
const RESTART: OfferFlags = OfferFlags {
    restart: true,
    wipe_state: false,
    update_bootloader: false,
};
const WIPE: OfferFlags = OfferFlags {
    restart: false,
    wipe_state: true,
    update_bootloader: false,
};

#[test]
fn an_image_is_installed_byte_for_byte_and_told_in_order() {
    let mut bench = Bench::new(MemoryStore::new());
    let image = image::plain(1);
    assert_eq!(bench.send(&image, NOTHING), 10);
    assert_eq!(bench.store.installed().unwrap(), image.bytes);
    let wrote = |name: &str, bytes| Event::SegmentWritten {
        name: name.into(),
        bytes,
    };
    let told: Vec<_> = bench
        .events
        .iter()
        .filter(|e| !matches!(e, Event::Hello { .. }))
        .collect();
    assert!(matches!(told[0], Event::Accepted { resumed: false, .. }));
    assert_eq!(*told[1], wrote("kernel", (3 * BLOCK + 100) as u64));
    assert_eq!(*told[2], wrote("rootfs", (5 * BLOCK + 700) as u64));
    assert_eq!(*told[3], Event::VerifyOk);
    assert_eq!(
        *told[4],
        Event::Installed {
            manifest: image.digest()
        }
    );
}

#[test]
fn slices_of_any_cut_and_order_make_the_block() {
    let mut bench = bench();
    let image = image::plain(1);
    let needs = bench.begin(&image, NOTHING);
    for (offset, data) in needed(&image, &needs) {
        let cuts = [
            (2_048, data.len()),
            (64, 1_024),
            (0, 64),
            (960, 2_112),
            (0, 128),
        ];
        for (from, to) in cuts {
            let to = to.min(data.len());
            if from < to {
                bench.data(offset + from as u64, &data[from..to]);
            }
        }
        bench.data(offset, &data);
    }
    bench.done(&image);
    assert!(matches!(
        bench.take_said()[..],
        [FromDevice::Installed { .. }]
    ));
    assert_eq!(bench.store.writes(), 10, "each block once");
}

#[test]
fn a_block_that_is_not_the_signed_one_is_never_written_and_asked_for_again() {
    let mut bench = bench();
    let image = image::plain(1);
    let needs = bench.begin(&image, NOTHING);
    let (offset, good) = needed(&image, &needs)[0].clone();
    let mut bad = good.clone();
    bad[77] ^= 4;
    bench.data(offset, &bad);
    let said = bench.take_said();
    let [FromDevice::Need(again)] = &said[..] else {
        panic!("{said:?}")
    };
    assert_eq!(
        (again.segment, again.page, &again.bitmap[..]),
        (0, 0, &[1][..])
    );
    assert_eq!(bench.store.writes(), 0);
    bench.fill(&image, &needs);
    bench.done(&image);
    assert_eq!(bench.store.installed().unwrap(), image.bytes);
}

#[test]
fn a_host_that_sends_wrong_blocks_again_and_again_is_refused() {
    let mut bench = bench();
    let image = image::plain(1);
    let needs = bench.begin(&image, NOTHING);
    let (offset, good) = needed(&image, &needs)[0].clone();
    for _ in 0..8 {
        bench.data(offset, &random_bytes(good.len(), 99));
    }
    assert_eq!(bench.take_said().len(), 8);
    bench.data(offset, &random_bytes(good.len(), 99));
    assert_eq!(bench.rejected(), RejectCode::Digests);
    assert_eq!(bench.store.writes(), 0);
}

#[test]
fn digests_that_do_not_prove_are_refused() {
    let mut bench = bench();
    let image = image::plain(1);
    bench.offer(&image, NOTHING);
    bench.take_said();
    bench.say(FromHost::Write {
        segment: "kernel".into(),
    });
    let page = Object::Page {
        segment: 0,
        page: 0,
    };
    assert_eq!(bench.take_said(), [FromDevice::Want(page)]);
    let mut wrong = image.page(0, 0);
    wrong[40] ^= 1;
    bench.object(page, &wrong);
    assert_eq!(bench.rejected(), RejectCode::Digests);
    assert!(
        !bench
            .requests
            .iter()
            .any(|r| matches!(r, Request::StorePage { .. }))
    );
}

#[test]
fn a_segment_of_several_pages_is_proven_through_its_directory() {
    let mut bench = bench();
    let mut content = vec![0; 1_025 * BLOCK];
    content[..BLOCK].copy_from_slice(&random_bytes(BLOCK, 3));
    content[1_024 * BLOCK..].copy_from_slice(&random_bytes(BLOCK, 4));
    let image = image::of(vec![(SegmentKind::Rootfs, content)]);
    let needs = bench.begin(&image, NOTHING);
    assert_eq!(
        needs.iter().map(|n| (n.page, n.last)).collect::<Vec<_>>(),
        [(0, false), (1, true)]
    );
    let stored = bench
        .requests
        .iter()
        .filter(|r| matches!(r, Request::StoreDirectory { .. }));
    assert_eq!(stored.count(), 1);
    bench.fill(&image, &needs);
    bench.done(&image);
    assert_eq!(bench.store.installed().unwrap(), image.bytes);
}

#[test]
fn data_outside_the_image_or_across_blocks_is_refused() {
    let image = image::plain(1);
    let kernel = image.manifest.segments[0].size;
    let cases: [(u64, usize); 4] = [
        (1 << 30, 64),
        (kernel.next_multiple_of(64), 64),
        (BLOCK as u64 - 64, 128),
        (0, 63),
    ];
    for (offset, len) in cases {
        let mut bench = bench();
        bench.begin(&image, NOTHING);
        bench.data(offset, &vec![1; len]);
        assert_eq!(bench.rejected(), RejectCode::Address, "{offset} {len}");
    }
}

#[test]
fn blocks_beyond_the_window_are_left_to_come_again() {
    let mut config = nx_flash::device::DeviceConfig::new(vec![TestImage::key()], 7);
    config.window_bytes = 3 * BLOCK as u32;
    let mut bench = Bench::with(MemoryStore::new(), config);
    bench.hello();
    let image = image::plain(1);
    let needs = bench.begin(&image, NOTHING);
    let blocks = needed(&image, &needs);
    for (offset, data) in &blocks[..4] {
        bench.data(*offset, &data[..64]);
    }
    assert!(bench.unacknowledged() > 0, "the fourth was not taken");
    bench.data(blocks[0].0, &blocks[0].1);
    bench.data(blocks[3].0, &blocks[3].1);
    assert_eq!(bench.store.writes(), 2);
}

#[test]
fn done_waits_for_blocks_that_are_still_to_come() {
    let mut bench = bench();
    let image = image::plain(1);
    let needs = bench.begin(&image, NOTHING);
    bench.fill(&image, &needs[..1]);
    bench.done(&image);
    bench.pass(Duration::from_secs(4));
    assert_eq!(bench.take_said(), []);
    bench.fill(&image, &needs[1..]);
    let said = bench.take_said();
    assert!(
        matches!(said[..], [FromDevice::Installed { .. }]),
        "{said:?}"
    );
}

#[test]
fn what_does_not_come_after_done_is_asked_for() {
    let mut bench = bench();
    let image = image::plain(1);
    let needs = bench.begin(&image, NOTHING);
    bench.fill(&image, &needs[..1]);
    bench.done(&image);
    bench.pass(Duration::from_millis(4_999));
    assert_eq!(bench.take_said(), []);
    bench.pass(Duration::from_millis(1));
    let said = bench.take_said();
    let [FromDevice::Need(need)] = &said[..] else {
        panic!("{said:?}")
    };
    assert_eq!((need.segment, &need.bitmap[..]), (1, &[0b11_1111][..]));
    assert!(bench.store.installed().is_none());
}

#[test]
fn done_waits_for_blocks_on_their_way_to_the_medium() {
    let mut bench = bench();
    let image = image::plain(1);
    let needs = bench.begin(&image, NOTHING);
    let mut bytes = Vec::new();
    for (offset, data) in needed(&image, &needs) {
        bytes.extend(bench.data_frame(offset, &data));
    }
    bench.queue(&FromHost::Done {
        manifest: image.digest(),
    });
    bench.transmit_peer(&mut bytes);
    // Blocks and DONE arrive before the store has written any of them.
    bench.device.handle_input(&bytes, bench.now);
    bench.settle();
    let said = bench.take_said();
    assert!(
        matches!(said[..], [FromDevice::Installed { .. }]),
        "{said:?}"
    );
    assert_eq!(bench.store.writes(), 10);
}

#[test]
fn done_for_another_manifest_is_refused() {
    let mut bench = bench();
    let image = image::plain(1);
    let needs = bench.begin(&image, NOTHING);
    bench.fill(&image, &needs);
    bench.done(&image::plain(2));
    assert_eq!(bench.rejected(), RejectCode::OtherManifest);
    assert!(bench.store.installed().is_none());
}

#[test]
fn what_rots_on_the_medium_is_found_and_mended_before_the_install() {
    let mut bench = bench();
    let image = image::plain(1);
    let needs = bench.begin(&image, NOTHING);
    bench.fill(&image, &needs);
    bench.store.rot_staged(2 * BLOCK + 5);
    bench.done(&image);
    let said = bench.take_said();
    let [FromDevice::Need(need)] = &said[..] else {
        panic!("{said:?}")
    };
    assert_eq!(&need.bitmap[..], &[0b100]);
    assert!(!bench.has(|event| *event == Event::VerifyOk));
    bench.fill(&image, std::slice::from_ref(need));
    bench.done(&image);
    assert_eq!(bench.store.installed().unwrap(), image.bytes);
}

#[test]
fn a_medium_that_never_keeps_a_block_is_given_up_after_three_rounds() {
    let mut bench = bench();
    let image = image::plain(1);
    let needs = bench.begin(&image, NOTHING);
    bench.fill(&image, &needs);
    for round in 0..4 {
        bench.store.rot_staged(5);
        bench.done(&image);
        if round < 3 {
            bench.fill(&image, &needs[..1]);
            assert!(
                matches!(bench.take_said()[..], [FromDevice::Need(_)]),
                "round {round}"
            );
        }
    }
    assert_eq!(bench.rejected(), RejectCode::ReadBack);
    assert!(bench.store.installed().is_none());
}

#[test]
fn a_full_store_ends_the_transfer_with_its_own_code() {
    let mut bench = bench();
    let image = image::plain(1);
    let needs = bench.begin(&image, NOTHING);
    bench.intercept = |request| match request {
        Request::Write { .. } => Some(Outcome::Failed(StoreError::Full("3 bytes left".into()))),
        _ => None,
    };
    bench.fill(&image, &needs[..1]);
    let said = bench.take_said();
    let FromDevice::Rejected { code, detail } = &said[0] else {
        panic!("{said:?}")
    };
    assert_eq!(*code, RejectCode::StorageFull.number());
    assert!(detail.contains("3 bytes left"), "{detail}");
}

#[test]
fn a_second_try_sends_only_what_the_first_did_not() {
    let mut bench = bench();
    let image = image::plain(1);
    let needs = bench.begin(&image, NOTHING);
    bench.fill(&image, &needs[..1]);
    bench.device.handle_closed(bench.now);
    bench.settle();
    assert_eq!(bench.send(&image, NOTHING), 6);
    assert_eq!(bench.store.writes(), 10);
}

#[test]
fn a_staged_block_that_rotted_in_between_is_asked_for_again() {
    let mut bench = bench();
    let image = image::plain(1);
    let needs = bench.begin(&image, NOTHING);
    bench.fill(&image, &needs[..1]);
    bench.store.rot_staged(BLOCK + 1);
    assert_eq!(bench.send(&image, NOTHING), 7);
    assert_eq!(bench.store.installed().unwrap(), image.bytes);
}

#[test]
fn an_update_takes_unchanged_blocks_from_the_installed_image() {
    let mut bench = Bench::new(MemoryStore::new());
    let old = image::plain(1);
    bench.send(&old, NOTHING);
    let mut rootfs = old.segment(1).to_vec();
    rootfs[2 * BLOCK] ^= 1;
    let kernel = old.segment(0).to_vec();
    let new = image::of(vec![
        (SegmentKind::Kernel, kernel),
        (SegmentKind::Rootfs, rootfs),
    ]);
    assert_eq!(bench.send(&new, NOTHING), 1);
    assert_eq!(bench.store.installed().unwrap(), new.bytes);
}

#[test]
fn sending_the_installed_image_again_writes_nothing_unless_told_to_restart() {
    let mut bench = Bench::new(MemoryStore::new());
    let image = image::plain(1);
    bench.send(&image, NOTHING);
    bench.requests.clear();
    assert_eq!(bench.send(&image, NOTHING), 0);
    let writes = |request: &Request| {
        use Request::{Adopt, Carry, Install, Write, ZeroGap};
        matches!(
            request,
            Write { .. } | Adopt { .. } | Carry { .. } | ZeroGap { .. } | Install
        )
    };
    assert!(!bench.requests.iter().any(writes), "{:?}", bench.requests);
    let Outcome::Status(status) = bench.store.serve(Request::Status) else {
        panic!("no status")
    };
    assert_eq!(status.staged, None);
    assert_eq!(bench.send(&image, RESTART), 10);
}

#[test]
fn a_device_keeps_its_state_and_only_a_wipe_writes_it() {
    let mut bench = Bench::new(MemoryStore::new());
    let old = image::with_state(1, 2, 4);
    bench.send(&old, NOTHING);
    let state = old.manifest.segments[2].offset;
    let user = random_bytes(3 * BLOCK, 77);
    bench.store.write_installed(state, &user);
    for (flags, image) in [
        (NOTHING, image::with_state(2, 2, 4)),
        (RESTART, image::with_state(3, 2, 5)),
    ] {
        bench.send(&image, flags);
        let installed = bench.store.installed().unwrap();
        let (before, rest) = installed.split_at(state as usize);
        let backup = image.manifest.segments[3].offset as usize;
        assert_eq!(before, &image.bytes[..state as usize]);
        assert_eq!(rest[..user.len()], user, "{flags:?}");
        assert_eq!(installed[backup..], image.bytes[backup..]);
    }
    let wiped = image::with_state(4, 2, 5);
    bench.send(&wiped, WIPE);
    assert_eq!(bench.store.installed().unwrap(), wiped.bytes);
}

#[test]
fn an_image_that_has_no_room_for_the_devices_state_is_refused_unless_it_is_wiped() {
    let mut bench = Bench::new(MemoryStore::new());
    bench.send(&image::with_state(1, 2, 4), NOTHING);
    let small = image::with_state(2, 2, 3);
    let moved = image::with_state(3, 3, 4);
    for image in [&small, &moved] {
        bench.hello();
        bench.offer(image, NOTHING);
        assert_eq!(bench.rejected(), RejectCode::StatePlace);
        bench.offer(image, WIPE);
        assert_eq!(bench.take_said(), [FromDevice::Accepted]);
    }
}

#[test]
fn verify_tells_the_digests_of_the_medium() {
    let mut bench = Bench::new(MemoryStore::new());
    let image = image::with_state(1, 2, 4);
    bench.send(&image, NOTHING);
    let state = image.manifest.segments[2].offset;
    bench
        .store
        .write_installed(state, &random_bytes(2 * BLOCK, 5));
    let verdicts = |bench: &mut Bench<MemoryStore>| {
        bench.hello();
        bench.say(FromHost::Verify);
        match &bench.take_said()[..] {
            [
                FromDevice::Verified {
                    manifest,
                    installed,
                    segments,
                    gaps_zero,
                },
            ] => {
                assert_eq!(*manifest, image.digest());
                let same = *installed == image.manifest.installed_digest();
                (
                    segments.iter().map(|s| s.verdict).collect::<Vec<_>>(),
                    same,
                    *gaps_zero,
                )
            }
            other => panic!("{other:?}"),
        }
    };
    use Verdict::{Differs, Kept, Matches};
    let good = vec![Matches, Matches, Kept, Matches];
    assert_eq!(verdicts(&mut bench), (good, true, true));
    bench
        .store
        .write_installed(BLOCK as u64 + 100, &[0xff, 0xff]);
    let differs = vec![Matches, Differs, Kept, Matches];
    assert_eq!(verdicts(&mut bench), (differs, false, true));
}

#[test]
fn proven_blocks_are_made_durable_within_a_second() {
    let mut bench = bench();
    let image = image::plain(1);
    let needs = bench.begin(&image, NOTHING);
    bench.fill(&image, &needs[..1]);
    let synced = |bench: &Bench<MemoryStore>| bench.requests.contains(&Request::Sync);
    assert!(!synced(&bench));
    bench.pass(Duration::from_millis(1_000));
    assert!(synced(&bench));
    assert_eq!(bench.grant(), (4, 4));
}

#[test]
fn stopping_makes_durable_what_came() {
    let mut bench = bench();
    let image = image::plain(1);
    let needs = bench.begin(&image, NOTHING);
    bench.fill(&image, &needs[..1]);
    bench.device.stop();
    bench.settle();
    assert!(bench.requests.contains(&Request::Sync));
    let status = bench.store.serve(Request::Status);
    let Outcome::Status(status) = status else {
        panic!("{status:?}")
    };
    assert_eq!(status.staged, Some(image.digest()));
}

#[test]
fn two_of_the_largest_blocks_always_fit_the_window() {
    let mut bench = Bench::new(MemoryStore::new());
    let image = image::of(vec![(SegmentKind::Rootfs, random_bytes(1_000, 1))])
        .resigned(|manifest| manifest.image.block_size = 1 << 20);
    bench.hello();
    let needs = bench.begin(&image, NOTHING);
    assert_eq!(bench.window(), 2 << 20);
    bench.fill(&image, &needs);
    bench.done(&image);
    assert_eq!(bench.store.installed().unwrap(), image.bytes);
}

#[test]
fn a_page_is_asked_for_before_a_block_needs_it_and_so_is_the_next() {
    // Six segments of one page each: more than are kept in memory.
    let kinds = [
        SegmentKind::Bootloader,
        SegmentKind::Kernel,
        SegmentKind::Initrd,
        SegmentKind::Rootfs,
        SegmentKind::Pkgfs,
        SegmentKind::State,
    ];
    let content = |kind, seed| (kind, random_bytes(BLOCK, seed));
    let image = image::of(
        kinds
            .into_iter()
            .zip(1..)
            .map(|(k, s)| content(k, s))
            .collect(),
    );
    let mut bench = bench();
    bench.begin(&image, NOTHING);
    let roots: Vec<_> = image
        .manifest
        .segments
        .iter()
        .map(|s| s.block_root)
        .collect();
    let asked_for = |bench: &mut Bench<MemoryStore>, offset: usize| {
        bench.requests.clear();
        bench.data(offset as u64, &image.bytes[offset..offset + 64]);
        let page_of = |request: &Request| match request {
            Request::LoadPage { root, .. } => roots.iter().position(|known| known == root),
            _ => None,
        };
        bench
            .requests
            .iter()
            .filter_map(page_of)
            .collect::<Vec<_>>()
    };
    // No block is whole yet.
    assert_eq!(asked_for(&mut bench, 0), [0]);
    assert_eq!(asked_for(&mut bench, 64), [1]);
    assert_eq!(asked_for(&mut bench, 128), [] as [usize; 0]);
}
