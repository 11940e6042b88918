use nx_flash::wire::{
    AbortReason, Ack, Baud, BaudStep, BootTarget, Busy, DecodeError, FromDevice, FromHost, Hello,
    Need, Object, OfferFlags, Packed, Reader, Refusal, RejectCode, Welcome, Writer,
};
use nx_image::Digest;

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "message",
    bytes_max: 1_100,
    run,
    seeds,
};

/// What the payload of some frame can be; the first byte says which.
fn run(bytes: &[u8]) -> bool {
    let Some((&which, body)) = bytes.split_first() else {
        return false;
    };
    match which % 9 {
        0 => same_value(body, FromHost::parse, |value, out| value.emit(out)),
        1 => same_value(body, FromDevice::parse, |value, out| value.emit(out)),
        2 => same_value(body, Hello::parse, |value, out| value.emit(out)),
        3 => same_value(body, Welcome::parse, |value, out| value.emit(out)),
        4 => same_value(body, Refusal::parse, |value, out| value.emit(out)),
        5 => same_value(body, Busy::parse, |value, out| value.emit(out)),
        6 => same_value(body, Ack::parse, |value, out| value.emit(out)),
        7 => same_value(body, Baud::parse, |value, out| value.emit(out)),
        _ => same_value(
            body,
            |body| Packed::parse(&mut Reader::new(body)),
            |value, out| value.emit(&mut Writer::new(out)),
        ),
    }
}

/// What parses is the same after it was emitted and parsed again.
fn same_value<T: PartialEq + std::fmt::Debug>(
    body: &[u8],
    parse: impl Fn(&[u8]) -> Result<T, DecodeError>,
    emit: impl Fn(&T, &mut Vec<u8>),
) -> bool {
    let Ok(value) = parse(body) else {
        return false;
    };
    let mut out = Vec::new();
    emit(&value, &mut out);
    assert_eq!(parse(&out).as_ref(), Ok(&value));
    let mut again = Vec::new();
    emit(&parse(&out).unwrap(), &mut again);
    assert_eq!(again, out);
    true
}

fn seeds() -> Vec<Vec<u8>> {
    let digest = Digest::of(b"seed");
    let mut seeds = Vec::new();
    let mut add = |which: u8, emit: &dyn Fn(&mut Vec<u8>)| {
        let mut body = Vec::new();
        emit(&mut body);
        body.insert(0, which);
        seeds.push(body);
    };
    for message in [
        FromHost::Info,
        FromHost::Offer {
            bytes: 2_000,
            flags: OfferFlags::default(),
        },
        FromHost::Write {
            segment: "rootfs".into(),
        },
        FromHost::Done { manifest: digest },
        FromHost::Abort {
            reason: AbortReason::Operator,
        },
        FromHost::Verify,
        FromHost::Reboot {
            target: BootTarget::Recovery,
        },
    ] {
        add(0, &|out| message.emit(out));
    }
    for message in [
        FromDevice::Accepted,
        FromDevice::Want(Object::Page {
            segment: 1,
            page: 2,
        }),
        FromDevice::Need(Need {
            segment: 1,
            page: 0,
            last: true,
            kept: false,
            bitmap: vec![0xff, 3],
        }),
        FromDevice::rejected(RejectCode::Board, "virt, not \u{1b}[2J"),
    ] {
        add(1, &|out| message.emit(out));
    }
    let hello = Hello {
        version_min: 1,
        version_max: 1,
        nonce: 7,
        codecs: 1,
        host: "nx".into(),
    };
    add(2, &|out| hello.emit(out));
    let welcome = Welcome {
        version: 1,
        nonce: 7,
        session: 99,
        boot: 1,
        window: 1 << 20,
        slice_max: 4_096,
        codecs: 1,
        last_good_seq: 0,
        board: "virt".into(),
        profile: nx_image::Profile::Dev,
    };
    add(3, &|out| welcome.emit(out));
    let refusal = Refusal {
        code: 1,
        nonce: 7,
        session: 0,
        version_min: 2,
        version_max: 3,
    };
    add(4, &|out| refusal.emit(out));
    add(5, &|out| {
        out.extend([1, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0])
    });
    add(6, &|out| out.extend([0; 24]));
    for step in [BaudStep::Ask, BaudStep::Test(3), BaudStep::Heard(7)] {
        add(7, &|out| Baud { baud: 9_600, step }.emit(out));
    }
    add(8, &|out| out.extend([1, 0, 0, 0, 0, 0, 0, 1]));
    seeds
}
