use std::sync::LazyLock;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use nx_flash::wire::{BootTarget, Frame, FromHost, Kind, OfferFlags};
use nx_image::test_image::TestImage;

use crate::Target;
use crate::peer::Peer;

pub(crate) const TARGET: Target = Target {
    name: "device",
    bytes_max: 2_048,
    run,
    seeds,
};

/// Two images that are signed, and one by somebody else.
static IMAGES: LazyLock<[TestImage; 3]> = LazyLock::new(|| {
    let mut forged = TestImage::of(9_000, 5);
    forged.signature[3] ^= 1;
    [TestImage::of(9_000, 1), TestImage::of(13_000, 3), forged]
});

/// What a host does next: the right thing, the right thing at the wrong time, or anything.
#[derive(Arbitrary, Debug)]
enum Step {
    Hello {
        min: u8,
        max: u8,
    },
    Call,
    Bytes(Vec<u8>),
    Frame {
        kind: u8,
        ours: bool,
        seq: u32,
        payload: Vec<u8>,
    },
    InTurn {
        kind: u8,
        payload: Vec<u8>,
    },
    Message(Vec<u8>),
    Ask(u8),
    Offer {
        image: u8,
        restart: bool,
        wipe_state: bool,
    },
    Survey {
        image: u8,
    },
    Blocks {
        image: u8,
        flip: Option<u16>,
    },
    Data {
        address: u32,
        bytes: Vec<u8>,
    },
    Object {
        number: u32,
        offset: u32,
        bytes: Vec<u8>,
    },
    Done {
        image: u8,
    },
    Wait(u16),
    Fail(u8),
    Close,
    Send {
        image: u8,
    },
}

/// A session by structure. Nothing that is not signed is ever installed, whatever a host does.
fn run(bytes: &[u8]) -> bool {
    let mut input = Unstructured::new(bytes);
    let mut peer = Peer::new();
    for _ in 0..64 {
        if input.is_empty() {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut input) else {
            break;
        };
        take(&mut peer, step);
    }
    let installed = peer.store.installed();
    let genuine = |found: &Vec<u8>| IMAGES[..2].iter().any(|image| image.bytes == *found);
    assert!(
        installed.as_ref().is_none_or(genuine),
        "a mixture is installed"
    );
    // Now and then: an honest host is served as if nothing had been.
    if crc32fast::hash(bytes).is_multiple_of(16) {
        peer.failures = 0;
        peer.wait(Duration::from_secs(60));
        assert!(peer.send(&IMAGES[0]), "an honest host is not served");
        assert_eq!(peer.store.installed().as_ref(), Some(&IMAGES[0].bytes));
    }
    installed.is_some()
}

fn image(number: u8) -> &'static TestImage {
    &IMAGES[usize::from(number) % IMAGES.len()]
}

fn take(peer: &mut Peer, step: Step) {
    match step {
        Step::Hello { min, max } => peer.hello(min, max),
        Step::Call => peer.hello(1, 1),
        Step::Bytes(bytes) => peer.input(&bytes),
        Step::Frame {
            kind,
            ours,
            seq,
            payload,
        } => {
            let session = if ours { peer.session() } else { seq };
            let mut bytes = Vec::new();
            let frame = Frame {
                kind,
                session,
                seq,
                payload: &payload,
            };
            frame.emit(&mut bytes);
            peer.input(&bytes);
        }
        Step::InTurn { kind, payload } => {
            if let Some(kind) = Kind::from_number(kind) {
                peer.frame(kind, payload);
            }
        }
        Step::Message(body) => peer.message(body),
        Step::Ask(which) => peer.say(match which % 4 {
            0 => &FromHost::Info,
            1 => &FromHost::Verify,
            2 => &FromHost::Reboot {
                target: BootTarget::Recovery,
            },
            _ => &FromHost::Reboot {
                target: BootTarget::Normal,
            },
        }),
        Step::Offer {
            image: number,
            restart,
            wipe_state,
        } => {
            peer.offer(
                image(number),
                OfferFlags {
                    restart,
                    wipe_state,
                    update_bootloader: false,
                },
            );
        }
        Step::Survey { image: number } => {
            peer.survey(image(number));
        }
        Step::Blocks {
            image: number,
            flip,
        } => {
            for (offset, mut block) in peer.survey(image(number)) {
                if let Some(flip) = flip {
                    let at = usize::from(flip) % block.len();
                    block[at] ^= 1;
                }
                peer.data(offset, &block);
            }
        }
        Step::Data { address, bytes } => peer.data(u64::from(address) * 64, &bytes),
        Step::Object {
            number,
            offset,
            bytes,
        } => peer.object(number, offset, &bytes),
        Step::Done { image: number } => peer.say(&FromHost::Done {
            manifest: image(number).digest(),
        }),
        Step::Wait(millis) => peer.wait(Duration::from_millis(millis.into())),
        Step::Fail(answers) => peer.failures = answers % 8,
        Step::Close => peer.close(),
        Step::Send { image: number } => {
            peer.send(image(number));
        }
    }
}

/// Structure is in the first bytes of each step; any bytes are some session.
fn seeds() -> Vec<Vec<u8>> {
    // The derived reader takes 4 bytes for the variant: its number times 2^32 / 17, rounded up.
    let variant = |number: u64| {
        let scaled = ((number << 32) / 17 + 1).min(u64::from(u32::MAX));
        u32::try_from(scaled).unwrap().to_le_bytes().to_vec()
    };
    let send = |image: u8| [variant(16), vec![image]].concat();
    let offer = [variant(7), vec![0, 0, 0]].concat();
    let blocks = [variant(9), vec![0, 0]].concat();
    let done = [variant(12), vec![0]].concat();
    vec![
        send(0),
        [send(0), send(1)].concat(),
        [variant(1), offer.clone(), blocks.clone(), done.clone()].concat(),
        [
            variant(1),
            offer,
            done,
            blocks,
            variant(15),
            send(2),
            send(1),
        ]
        .concat(),
    ]
}
