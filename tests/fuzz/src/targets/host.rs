use std::sync::LazyLock;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use nx_flash::host::{Event, Host, HostConfig, Job, Outcome, Request};
use nx_flash::machine::Machine as _;
use nx_flash::session::{Channel, Incoming, Intake};
use nx_flash::time::Instant;
use nx_flash::wire::{
    BootTarget, Frame, FromDevice, Hello, Kind, Need, Object, OfferFlags, Welcome,
};
use nx_image::Profile;
use nx_image::test_image::TestImage;

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "host",
    bytes_max: 2_048,
    run,
    seeds,
};

static IMAGE: LazyLock<TestImage> = LazyLock::new(|| TestImage::of(13_000, 3));

/// What a device does next.
#[derive(Arbitrary, Debug)]
enum Step {
    Welcome {
        window: u32,
        slice_max: u32,
        codecs: u32,
    },
    Bytes(Vec<u8>),
    Frame {
        kind: u8,
        ours: bool,
        seq: u32,
        payload: Vec<u8>,
    },
    Message(Vec<u8>),
    Accept,
    Want(u32),
    Need {
        segment: u8,
        page: u16,
        last: bool,
        kept: bool,
        bitmap: Vec<u8>,
    },
    Installed {
        right: bool,
    },
    Grant {
        window: u32,
        received: u32,
        durable: u32,
    },
    Wait(u16),
    Close,
    Stop,
}

/// A device that says anything, by structure, to a host that sends an image.
struct Liar {
    host: Host,
    channel: Option<Channel>,
    intake: Intake,
    nonce: u64,
    now: Instant,
    installed: bool,
    finished: bool,
}

fn run(bytes: &[u8]) -> bool {
    let mut input = Unstructured::new(bytes);
    let job = match input.arbitrary::<u8>().unwrap_or(0) % 8 {
        0 => Job::Info,
        1 => Job::Verify,
        2 => Job::Reboot(BootTarget::Normal),
        _ => Job::Send {
            manifest: IMAGE.manifest_bytes.clone(),
            signature: IMAGE.signature.clone(),
            flags: OfferFlags::default(),
            chunk_bytes: 4_096,
        },
    };
    let mut liar = Liar {
        host: Host::new(HostConfig::new(7, job)),
        channel: None,
        intake: Intake::new(),
        nonce: 7,
        now: Instant::from_micros(1_000_000),
        installed: false,
        finished: false,
    };
    liar.settle();
    for _ in 0..64 {
        if input.is_empty() {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut input) else {
            break;
        };
        liar.take(step);
    }
    // Silence ends every job, in a time that is stated.
    for _ in 0..200 {
        liar.pass(Duration::from_secs(1));
    }
    assert!(liar.host.is_finished(), "silence does not end the job");
    liar.installed
}

impl Liar {
    fn take(&mut self, step: Step) {
        match step {
            Step::Welcome {
                window,
                slice_max,
                codecs,
            } => self.welcome(window, slice_max, codecs),
            Step::Bytes(bytes) => self.input(&bytes),
            Step::Frame {
                kind,
                ours,
                seq,
                payload,
            } => {
                let session = self.channel.as_ref().map_or(0, Channel::session);
                let session = if ours { session } else { seq };
                let mut bytes = Vec::new();
                let frame = Frame {
                    kind,
                    session,
                    seq,
                    payload: &payload,
                };
                frame.emit(&mut bytes);
                self.input(&bytes);
            }
            Step::Message(body) => self.message(body),
            Step::Accept => self.say(&FromDevice::Accepted),
            Step::Want(number) => {
                if let Some(object) = Object::from_number(number) {
                    self.say(&FromDevice::Want(object));
                }
            }
            Step::Need {
                segment,
                page,
                last,
                kept,
                bitmap,
            } => {
                let bitmap = bitmap.into_iter().take(128).collect();
                self.say(&FromDevice::Need(Need {
                    segment,
                    page,
                    last,
                    kept,
                    bitmap,
                }));
            }
            Step::Installed { right } => {
                let manifest = IMAGE.digest();
                let installed = if right {
                    IMAGE.manifest.installed_digest()
                } else {
                    manifest
                };
                self.say(&FromDevice::Installed {
                    manifest,
                    installed,
                    state_kept: false,
                });
            }
            Step::Grant {
                window,
                received,
                durable,
            } => {
                if let Some(channel) = &mut self.channel {
                    channel.set_grant(window, received, durable);
                }
                self.settle();
            }
            Step::Wait(millis) => self.pass(Duration::from_millis(millis.into())),
            Step::Close => {
                self.host.handle_closed(self.now);
                self.settle();
            }
            Step::Stop => {
                self.host.stop(self.now);
                self.settle();
            }
        }
    }

    fn welcome(&mut self, window: u32, slice_max: u32, codecs: u32) {
        let welcome = Welcome {
            version: 1,
            nonce: self.nonce,
            session: 5,
            boot: 1,
            window,
            slice_max,
            codecs,
            last_good_seq: 0,
            board: "\u{1b}[2J".into(),
            profile: Profile::Dev,
        };
        let mut payload = Vec::new();
        welcome.emit(&mut payload);
        let mut bytes = Vec::new();
        Frame::new(Kind::Welcome, 0, 0, &payload).emit(&mut bytes);
        self.channel = Some(Channel::new(5, self.now));
        self.input(&bytes);
    }

    fn message(&mut self, body: Vec<u8>) {
        if let Some(channel) = self
            .channel
            .as_mut()
            .filter(|channel| channel.queued() < 16)
        {
            channel.queue(body);
            self.settle();
        }
    }

    fn say(&mut self, message: &FromDevice) {
        let mut body = Vec::new();
        message.emit(&mut body);
        self.message(body);
    }

    fn input(&mut self, bytes: &[u8]) {
        self.host.handle_input(bytes, self.now);
        self.settle();
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.host.handle_timeout(self.now);
        if let Some(channel) = &mut self.channel {
            channel.handle_timeout(self.now);
        }
        self.settle();
    }

    fn settle(&mut self) {
        for _ in 0..200 {
            let mut idle = true;
            while let Some((id, request)) = self.host.poll_request() {
                idle = false;
                self.host.handle_done(id, answer(&request), self.now);
            }
            let mut out = Vec::new();
            for _ in 0..64 {
                if self.host.poll_transmit(self.now, &mut out).is_none() {
                    break;
                }
            }
            idle &= out.is_empty();
            self.hear(&out);
            while let Some(event) = self.host.poll_event() {
                assert!(!self.finished, "{event:?} after the end");
                self.installed |= matches!(event, Event::Installed { .. });
                self.finished = matches!(event, Event::Finished | Event::Failed(_));
            }
            let mut back = Vec::new();
            if let Some(channel) = &mut self.channel {
                while channel.next_message().is_some() {}
                while channel.poll_control(self.now, &mut back).is_some() {}
            }
            if !back.is_empty() {
                idle = false;
                self.host.handle_input(&back, self.now);
            }
            if idle {
                return;
            }
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        let now = self.now;
        let (channel, nonce) = (&mut self.channel, &mut self.nonce);
        self.intake.feed(bytes, now, &mut |incoming| {
            let Incoming::Frame(frame) = incoming else {
                panic!("the host sent {incoming:?}");
            };
            if frame.kind == Kind::Hello.number() {
                *nonce = Hello::parse(frame.payload).unwrap().nonce;
            } else if let Some(channel) = channel
                && frame.session == channel.session()
            {
                channel.handle_frame(&frame, now);
            }
        });
    }
}

/// What the image's file holds.
fn answer(request: &Request) -> Outcome {
    match request {
        Request::Block { offset, bytes, .. } => {
            let from = usize::try_from(*offset).unwrap();
            let len = usize::try_from(*bytes).unwrap();
            Outcome::Bytes(IMAGE.bytes[from..from + len].to_vec())
        }
        Request::Directory { segment } => Outcome::Bytes(IMAGE.directory(*segment)),
        Request::Page { segment, page } => Outcome::Bytes(IMAGE.page(*segment, *page)),
        Request::Sums { segment, page } => Outcome::Bytes(
            IMAGE
                .blocks(*segment, *page)
                .flat_map(|block| nx_flash::rolling::sum(block).to_le_bytes())
                .collect(),
        ),
        Request::Speed(_) => Outcome::Speed { held: true },
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let variant = |number: u64| {
        let scaled = ((number << 32) / 12 + 1).min(u64::from(u32::MAX));
        u32::try_from(scaled).unwrap().to_le_bytes().to_vec()
    };
    let welcome = [
        variant(0),
        (1_u32 << 20).to_le_bytes().to_vec(),
        4_096_u32.to_le_bytes().to_vec(),
        vec![0; 4],
    ]
    .concat();
    let installed = [variant(7), vec![1]].concat();
    vec![
        [vec![3], welcome.clone(), variant(4), installed.clone()].concat(),
        [
            vec![3],
            welcome.clone(),
            variant(4),
            variant(5),
            vec![0, 0, 0, 2],
            installed,
        ]
        .concat(),
        [vec![0], welcome.clone()].concat(),
        [vec![1], welcome].concat(),
    ]
}
