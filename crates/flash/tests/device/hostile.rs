//! Whatever a peer sends, the device stays up, and nothing unsigned gets in.

use nx_flash::machine::Machine as _;
use nx_flash::storage::MemoryStore;
use nx_flash::wire::{Frame, OfferFlags, Writer};
use proptest::prelude::*;

use crate::bench::Bench;
use crate::image::{self, BLOCK};

/// What a hostile peer does next.
#[derive(Clone, Debug)]
enum Step {
    /// Bytes as they come.
    Bytes(Vec<u8>),
    /// A frame that is whole, of any kind.
    Frame {
        kind: u8,
        ours: bool,
        seq: u32,
        payload: Vec<u8>,
    },
    /// A message of any kind.
    Message { id: u32, body: Vec<u8> },
    /// Data at any address near the image.
    Data { address: u32, len: usize },
    /// Time passes, in milliseconds.
    Wait(u64),
    /// The link closes.
    Close,
    /// The host that is honest begins again.
    Offer,
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = |len| proptest::collection::vec(any::<u8>(), 0..len);
    prop_oneof![
        bytes(200).prop_map(Step::Bytes),
        (0..20_u8, any::<bool>(), 0..40_u32, bytes(80)).prop_map(|(kind, ours, seq, payload)| {
            Step::Frame {
                kind,
                ours,
                seq,
                payload,
            }
        }),
        (0..20_u32, 0..80_u8, bytes(50)).prop_map(|(id, kind, mut body)| {
            body.insert(0, kind);
            Step::Message { id, body }
        }),
        (0..800_u32, 0..5_000_usize).prop_map(|(address, len)| Step::Data { address, len }),
        (0..40_000_u64).prop_map(Step::Wait),
        Just(Step::Close),
        Just(Step::Offer),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_input_makes_a_device_panic_or_install(steps in proptest::collection::vec(step(), 1..40)) {
        let mut bench = Bench::new(MemoryStore::new());
        let image = image::plain(1);
        let mut session = bench.hello().session;
        for step in steps {
            match step {
                Step::Bytes(bytes) => bench.input(&bytes),
                Step::Frame { kind, ours, seq, payload } => {
                    let session = if ours { session } else { seq };
                    let mut bytes = Vec::new();
                    Frame { kind, session, seq, payload: &payload }.emit(&mut bytes);
                    bench.input(&bytes);
                }
                Step::Message { id, body } => {
                    let mut payload = Vec::new();
                    Writer::new(&mut payload).u32(id).bytes(&body);
                    let kind = nx_flash::wire::Kind::Message.number();
                    let mut bytes = Vec::new();
                    Frame { kind, session, seq: id, payload: &payload }.emit(&mut bytes);
                    bench.input(&bytes);
                }
                Step::Data { address, len } => {
                    let frame = bench.data_frame(u64::from(address) * 64, &vec![7; len]);
                    bench.input(&frame);
                }
                Step::Wait(millis) => {
                    bench.now = bench.now.after(std::time::Duration::from_millis(millis));
                    bench.device.handle_timeout(bench.now);
                    bench.settle();
                }
                Step::Close => {
                    bench.device.handle_closed(bench.now);
                    bench.settle();
                }
                Step::Offer => {
                    session = bench.hello().session;
                    bench.offer(&image, OfferFlags::default());
                }
            }
        }
        // Not one of the signed blocks was among it.
        prop_assert!(bench.store.installed().is_none());
        prop_assert_eq!(bench.store.writes(), 0);
        // And an honest host is served as if nothing had been.
        bench.take_said();
        bench.now = bench.now.after(std::time::Duration::from_secs(1));
        prop_assert_eq!(bench.send(&image, OfferFlags::default()), 10);
        prop_assert_eq!(bench.store.installed().unwrap().len(), image.bytes.len());
    }

    #[test]
    fn damage_on_the_line_never_installs_anything_else(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..30),
    ) {
        let mut bench = Bench::new(MemoryStore::new());
        let image = image::plain(1);
        bench.hello();
        let needs = bench.begin(&image, OfferFlags::default());
        let mut stream = Vec::new();
        for (offset, data) in crate::bench::needed(&image, &needs) {
            for (index, piece) in data.chunks(BLOCK / 4).enumerate() {
                stream.extend(bench.data_frame(offset + (index * BLOCK / 4) as u64, piece));
            }
        }
        for (at, bit) in flips {
            let at = at.index(stream.len());
            stream[at] ^= 1 << bit;
        }
        bench.input(&stream);
        let staged = bench.store.writes();
        prop_assert!(staged <= 10);
        bench.take_said();
        // What the flips left is what the next try does not send.
        let sent = bench.send(&image, OfferFlags::default());
        prop_assert_eq!(sent as u64 + staged, 10);
        prop_assert_eq!(bench.store.installed().unwrap(), image.bytes);
    }
}
