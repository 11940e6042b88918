//! The bytes of protocol version 1, frozen. If one of these fails the code is wrong: never
//! edit the bytes.

use nx_flash::wire::{
    AbortReason, Ack, BAUD_BIT, Baud, BaudStep, BootTarget, Busy, BusyPhase, Codec, DeviceInfo,
    Frame, FromDevice, FromHost, Hello, Kind, Need, Object, OfferFlags, Packed, Reader, Refusal,
    RejectCode, SeqRange, SlotsInfo, Verdict, VerifiedSegment, Welcome, Writer,
};
use nx_image::boot_record::Slot;
use nx_image::digest::Digest;
use nx_image::manifest::Profile;

#[track_caller]
fn assert_wire(got: &[u8], frozen: &str) {
    let got: String = got.iter().map(|byte| format!("{byte:02x}")).collect();
    let frozen: String = frozen.split_whitespace().collect();
    assert_eq!(got, frozen);
}

#[track_caller]
fn assert_frame(kind: Kind, session: u32, seq: u32, payload: &[u8], frozen: &str) {
    let mut bytes = Vec::new();
    let frame = Frame::new(kind, session, seq, payload);
    frame.emit(&mut bytes);
    assert_wire(&bytes, frozen);
    assert_eq!(Frame::parse(&bytes), Ok((frame, bytes.len())));
}

#[track_caller]
fn assert_from_host(message: &FromHost, frozen: &str) {
    let mut bytes = Vec::new();
    message.emit(&mut bytes);
    assert_wire(&bytes, frozen);
    assert_eq!(FromHost::parse(&bytes).as_ref(), Ok(message));
}

#[track_caller]
fn assert_from_device(message: &FromDevice, frozen: &str) {
    let mut bytes = Vec::new();
    message.emit(&mut bytes);
    assert_wire(&bytes, frozen);
    assert_eq!(FromDevice::parse(&bytes).as_ref(), Ok(message));
}

fn digest() -> Digest {
    Digest::from_bytes([0xab; 32])
}

#[test]
fn hello() {
    let mut payload = Vec::new();
    Hello {
        version_min: 1,
        version_max: 1,
        nonce: 0x1122_3344_5566_7788,
        codecs: 0,
        host: "nx".into(),
    }
    .emit(&mut payload);
    assert_frame(
        Kind::Hello,
        0x0,
        3,
        &payload,
        "9e4e0101000000000300000011009023 \
         0101887766554433221100000000026e78 5d1ea241",
    );
}

#[test]
fn welcome() {
    let mut payload = Vec::new();
    Welcome {
        version: 1,
        nonce: 7,
        session: 0x5_0001,
        boot: 5,
        window: 1_048_576,
        slice_max: 32_768,
        codecs: 0,
        last_good_seq: 9,
        board: "virt".into(),
        profile: Profile::Release,
    }
    .emit(&mut payload);
    assert_frame(
        Kind::Welcome,
        0x0,
        0,
        &payload,
        "9e4e010200000000000000002700b93a \
         0107000000000000000100050005000000000010000080000000000000090000 \
         00047669727401 5f270a77",
    );
}

#[test]
fn refuse() {
    let mut payload = Vec::new();
    Refusal {
        code: RejectCode::Session.number(),
        nonce: 7,
        session: 0x5_0001,
        version_min: 1,
        version_max: 1,
    }
    .emit(&mut payload);
    assert_frame(
        Kind::Refuse,
        0x0,
        1,
        &payload,
        "9e4e010300000000010000001000523b \
         02000700000000000000010005000101 28704e8f",
    );
}

#[test]
fn busy() {
    let mut payload = Vec::new();
    Busy {
        phase: BusyPhase::ReadBack,
        done: 65_536,
        total: 131_072,
    }
    .emit(&mut payload);
    assert_frame(
        Kind::Busy,
        0x50001,
        4,
        &payload,
        "9e4e010801000500040000001100edb6 \
         0100000100000000000000020000000000 ee2353e9",
    );
}

/// A `BAUD` frame of session 0x50001.
#[track_caller]
fn assert_baud(step: BaudStep, frozen: &str) {
    let baud = Baud {
        baud: 921_600,
        step,
    };
    let mut payload = Vec::new();
    baud.emit(&mut payload);
    assert_wire(&payload, frozen);
    assert_eq!(Baud::parse(&payload), Ok(baud));
}

#[test]
fn baud() {
    let mut payload = Vec::new();
    let step = BaudStep::Ask;
    Baud {
        baud: 921_600,
        step,
    }
    .emit(&mut payload);
    assert_frame(
        Kind::Baud,
        0x50001,
        2,
        &payload,
        "9e4e010b01000500020000000500418c \
         0100100e00 dfd68847",
    );
    assert_baud(BaudStep::Able, "0200100e00");
    assert_baud(BaudStep::Unable, "0300100e00");
    assert_baud(BaudStep::Call, "0400100e00");
    assert_baud(BaudStep::Keep, "0700100e00");
    assert_baud(BaudStep::Kept, "0800100e00");
    let [even, odd] = ["55", "aa"].map(|byte| byte.repeat(128));
    assert_baud(BaudStep::Test(0), &format!("0500100e0000{even}"));
    assert_baud(BaudStep::Test(29), &format!("0500100e001d{odd}"));
    let runs = ["00".repeat(16), "ff".repeat(16)].concat().repeat(4);
    assert_baud(BaudStep::Test(2), &format!("0500100e0002{runs}"));
    assert_baud(
        BaudStep::Heard(0x8000_0003),
        &format!("0600100e0003000080{runs}"),
    );
    assert_baud(
        BaudStep::Test(31),
        "0500100e001f3f2ebadab68c23f4c96b50a6df57506e9bccf005a38dd98ac467 \
         29285ee325fc32c8b5270579ba40aa8d80a06822cc2cd3d94aac837668c54d8c \
         d021ddba226ddb568923f9995f5b9897f309d6a8256a4206708c81bd852c953a \
         b04eb217885caeefb2a88451bb9487294dd02b2c3f5a7f234c49ce246d78f30d \
         1da761d80ea8",
    );
    assert_eq!(BAUD_BIT, 0x8000_0000);
}

#[test]
fn ack() {
    let mut payload = Vec::new();
    Ack {
        window: 1_048_576,
        received_blocks: 300,
        durable_blocks: 0,
        ranges: vec![
            SeqRange {
                first: 900,
                last: 900,
            },
            SeqRange {
                first: 892,
                last: 897,
            },
        ],
    }
    .emit(&mut payload);
    assert_frame(
        Kind::Ack,
        0x50001,
        2,
        &payload,
        "9e4e010701000500020000000f004390 \
         8403000000001000ac020002000205 2931aa1d",
    );
}

#[test]
fn data() {
    let payload = [&1_024_u32.to_le_bytes()[..], b"data"].concat();
    assert_frame(
        Kind::Data,
        0x50001,
        17,
        &payload,
        "9e4e010501000500110000000800037d \
         0004000064617461 adf16cdc",
    );
}

#[test]
fn packed() {
    let front = Packed {
        address: 1_025,
        codec: Codec::Deflate,
        bytes: 300,
    };
    let mut payload = Vec::new();
    front.emit(&mut Writer::new(&mut payload));
    payload.extend(b"piece");
    assert_frame(
        Kind::Packed,
        0x50001,
        19,
        &payload,
        "9e4e010901000500130000000d007ffa \
         010400002c01000170696563652bdac3 2c",
    );
    assert_eq!(Packed::parse(&mut Reader::new(&payload)), Ok(front));
}

#[test]
fn codecs() {
    assert_eq!(Codec::Deflate.number(), 1);
    assert_eq!(Codec::Deflate.bit(), 1);
    assert_eq!(Codec::bits(), 1);
}

#[test]
fn meta() {
    let object = Object::Page {
        segment: 3,
        page: 4,
    };
    let payload = [
        &object.number().to_le_bytes()[..],
        &32_u32.to_le_bytes(),
        b"page",
    ]
    .concat();
    assert_frame(
        Kind::Meta,
        0x50001,
        18,
        &payload,
        "9e4e010601000500120000000c00dd07 \
         040003022000000070616765 1c49f43a",
    );
}

#[test]
fn message() {
    let mut payload = 0_u32.to_le_bytes().to_vec();
    FromHost::Info.emit(&mut payload);
    assert_frame(
        Kind::Message,
        0x50001,
        0,
        &payload,
        "9e4e010401000500000000000500328c \
         0000000001 929ae9c4",
    );
}

#[test]
fn info() {
    assert_from_host(&FromHost::Info, "01");
}

#[test]
fn offer() {
    assert_from_host(
        &FromHost::Offer {
            bytes: 1_064,
            flags: OfferFlags {
                restart: true,
                wipe_state: false,
                update_bootloader: false,
            },
        },
        "022804000001",
    );
    assert_from_host(
        &FromHost::Offer {
            bytes: 1_064,
            flags: OfferFlags {
                restart: false,
                wipe_state: true,
                update_bootloader: true,
            },
        },
        "022804000006",
    );
}

#[test]
fn write() {
    assert_from_host(
        &FromHost::Write {
            segment: "rootfs".into(),
        },
        "0306726f6f746673",
    );
}

#[test]
fn done() {
    assert_from_host(
        &FromHost::Done { manifest: digest() },
        "04ababababababababababababababababababababababababababababababab \
         ab",
    );
}

#[test]
fn abort() {
    assert_from_host(
        &FromHost::Abort {
            reason: AbortReason::Operator,
        },
        "0501",
    );
}

#[test]
fn verify() {
    assert_from_host(&FromHost::Verify, "06");
}

#[test]
fn reboot() {
    assert_from_host(
        &FromHost::Reboot {
            target: BootTarget::Recovery,
        },
        "0701",
    );
}

#[test]
fn device_info() {
    assert_from_device(
        &FromDevice::Info(DeviceInfo {
            agent: "flashd 0.1.0".into(),
            board: "virt".into(),
            profile: Profile::Dev,
            boot: 2,
            installed: Some(digest()),
            installed_version: "1.2.3".into(),
            staged: None,
            capacity: 1 << 33,
            layout: "file".into(),
            keys: vec!["00ff".into()],
        }),
        "410c666c6173686420302e312e300476697274000200000001ababababababab \
         ababababababababababababababababababababababababab05312e322e3300 \
         00000000020000000466696c65010430306666",
    );
}

#[test]
fn want() {
    assert_from_device(
        &FromDevice::Want(Object::Directory { segment: 2 }),
        "4200000201",
    );
    assert_from_device(
        &FromDevice::Want(Object::Sums {
            segment: 2,
            page: 258,
        }),
        "4202010203",
    );
}

#[test]
fn accepted() {
    assert_from_device(&FromDevice::Accepted, "43");
}

#[test]
fn need() {
    assert_from_device(
        &FromDevice::Need(Need {
            segment: 1,
            page: 258,
            last: true,
            kept: false,
            bitmap: vec![0x0f, 0x80],
        }),
        "44010201010002000f80",
    );
}

#[test]
fn installed() {
    assert_from_device(
        &FromDevice::Installed {
            manifest: digest(),
            installed: digest(),
            state_kept: true,
        },
        "45ababababababababababababababababababababababababababababababab \
         abababababababababababababababababababababababababababababababab \
         ab01",
    );
}

#[test]
fn verified() {
    assert_from_device(
        &FromDevice::Verified {
            manifest: digest(),
            installed: digest(),
            segments: vec![VerifiedSegment {
                name: "kernel".into(),
                sha256: digest(),
                verdict: Verdict::Differs,
            }],
            gaps_zero: true,
        },
        "46ababababababababababababababababababababababababababababababab \
         abababababababababababababababababababababababababababababababab \
         ab0101066b65726e656cabababababababababababababababababababababab \
         abababababababababab01",
    );
}

#[test]
fn rebooting() {
    assert_from_device(
        &FromDevice::Rebooting {
            target: BootTarget::Normal,
        },
        "4700",
    );
}

#[test]
fn rejected() {
    assert_from_device(
        &FromDevice::rejected(RejectCode::Board, "virt is not rpi4"),
        "4812001076697274206973206e6f742072706934",
    );
}

#[test]
fn slots() {
    assert_from_host(&FromHost::Slots, "08");
    assert_from_device(&FromDevice::Slots(None), "4900");
    let told = SlotsInfo {
        running: Some(Slot::A),
        confirmed: Slot::A,
        boots: Slot::B,
        fallback: true,
        tries: Some(3),
        next: BootTarget::Recovery,
        a: Some(digest()),
        b: None,
    };
    assert_from_device(
        &FromDevice::Slots(Some(told)),
        "49010101020101030101abababababababababababababababab \
         abababababababababababababababab00",
    );
    let told = SlotsInfo {
        running: None,
        confirmed: Slot::B,
        boots: Slot::B,
        fallback: false,
        tries: None,
        next: BootTarget::Normal,
        a: None,
        b: None,
    };
    assert_from_device(&FromDevice::Slots(Some(told)), "49010002020000000000");
}

#[test]
fn reject_codes() {
    let numbers: Vec<_> = RejectCode::ALL.iter().map(|code| code.number()).collect();
    assert_eq!(
        numbers,
        [
            1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 32, 33, 34, 35, 36, 37, 38
        ]
    );
    for code in RejectCode::ALL {
        assert_eq!(RejectCode::from_number(code.number()), Some(code));
    }
}
