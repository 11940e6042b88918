//! Every bound of the protocol and of the machines, in one place.
//!
//! What grows has a limit here, checked before memory is taken. The limits that a peer can
//! see are part of the protocol: `docs/provisioning/protocol.md`, "Limits".

use core::time::Duration;

/// Bytes of a frame before its payload: magic, version and flags, kind, session, seq, len,
/// header check.
pub const HEADER_BYTES: usize = 16;
/// Bytes of a frame after its payload: the CRC-32.
pub const TRAILER_BYTES: usize = 4;
/// Bytes of a frame around its payload.
pub const FRAME_OVERHEAD_BYTES: usize = HEADER_BYTES + TRAILER_BYTES;
/// Bytes of address in front of the data of a `DATA` frame.
pub const DATA_ADDRESS_BYTES: usize = 4;
/// Bytes that a `DATA` frame adds to the image data it carries.
pub const DATA_OVERHEAD_BYTES: usize = FRAME_OVERHEAD_BYTES + DATA_ADDRESS_BYTES;
/// Bytes in front of the data of a `PACKED` frame: address, codec, length of the packed block.
pub const PACKED_FRONT_BYTES: usize = 8;
/// Largest payload of one frame, in bytes; what the 16-bit length field can say.
pub const PAYLOAD_BYTES_MAX: usize = 65_535;
/// Largest frame, in bytes.
pub const FRAME_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + FRAME_OVERHEAD_BYTES;
/// Most image data in one `DATA` frame, in bytes, whatever `--chunk` allows.
///
/// Half a block of the default size: larger frames gain under 0.1 % and make one lost
/// byte cost more.
pub const SLICE_BYTES_MAX: usize = 32 * 1024;
/// Least image data in one `DATA` frame, in bytes, but for the end of a block.
pub const SLICE_BYTES_MIN: usize = 128;
/// Bytes per second of a line above which blocks are sent as they are, not packed: a processor
/// packs text at 10 to 25 MB/s, and a block that shrinks to half would gain nothing at twice this.
pub const PACK_RATE_MAX: u64 = 4_000_000;
/// Blocks that are packed and not wholly sent, so that a line never waits for the next.
pub const PACKED_AHEAD_BLOCKS: usize = 2;
/// Memory that a device needs to unpack one block, beside the packed block and the block.
pub const UNPACK_BYTES_MAX: usize = 12 * 1_024;
/// Unit of the address in a `DATA` frame, in bytes.
pub const ADDRESS_UNIT_BYTES: u64 = 64;
/// Largest body of a message, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1_024;
/// Room for one whole frame and one that is being searched for the next magic, in bytes.
pub const RX_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;
/// Messages sent and not yet acknowledged, per direction.
pub const MESSAGES_IN_FLIGHT_MAX: usize = 16;
/// Runs of received frames remembered and reported in one acknowledgement.
pub const ACK_RANGES_MAX: usize = 24;
/// Largest page directory of a segment, in bytes (4,096 pages of 32 bytes).
pub const DIRECTORY_BYTES_MAX: usize = 4_096 * 32;
/// Most bytes of blocks that a device holds before they are proven: the window it grants.
pub const WINDOW_BYTES: u32 = 1_048_576;
/// Least number of blocks that fit the window, whatever the block size.
pub const WINDOW_BLOCKS_MIN: u32 = 2;
/// Frames in flight that one side keeps track of.
pub const IN_FLIGHT_FRAMES_MAX: usize = 8_192;
/// Text in a message (names, reasons), in bytes of ASCII.
pub const TEXT_BYTES_MAX: usize = 200;
/// A line of a device's console that is kept, in bytes.
pub const CONSOLE_LINE_BYTES_MAX: usize = 256;

/// A side gives up after this long without progress.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(30);
/// Time before unanswered frames are sent again while the round trip is not known.
///
/// Measured round trips under software emulation reach 33 ms, and a fresh thread has been
/// seen to wait longer; below 100 ms retries would be noise.
pub const PROBE_AFTER_MIN: Duration = Duration::from_millis(100);
/// Longest time between two tries.
pub const PROBE_AFTER_MAX: Duration = Duration::from_secs(3);
/// A host that hears nothing of its session for this long says again what has arrived: a device
/// that has lost the session refuses that, and one that works is heard at least every
/// [`BUSY_EVERY`].
pub const REMIND_AFTER: Duration = Duration::from_secs(3);
/// An acknowledgement waits at most this long for a second frame to cover.
pub const ACK_DELAY: Duration = Duration::from_millis(5);
/// A working device tells its host so at least this often.
pub const BUSY_EVERY: Duration = Duration::from_secs(1);
/// A frame that stops in the middle is abandoned after this long without a byte.
pub const FRAME_STALL: Duration = Duration::from_millis(150);
/// Bytes of newly proven blocks after which the device makes them durable.
pub const CHECKPOINT_BYTES: u64 = 4 * 1_048_576;
/// Time after which the device makes newly proven blocks durable.
pub const CHECKPOINT_AFTER: Duration = Duration::from_secs(1);
/// Rounds of repair after a read-back that did not match, before the device gives up.
pub const REPAIR_ROUNDS_MAX: u32 = 3;
/// Times, on the average, that a device may ask for each block or each object of an image in a
/// session: twice what [`REPAIR_ROUNDS_MAX`] rounds come to.
pub const ASKED_AGAIN_MAX: u32 = 16;

/// Pieces of the pattern that tests a line speed.
pub const BAUD_TESTS: u32 = 32;
/// Pieces that have to arrive for a speed to be good. A line that loses a frame in four at the
/// new speed still gains by any step of more than a third.
pub const BAUD_TESTS_MIN: u32 = 24;
/// Bytes of the pattern in each piece.
pub const BAUD_TEST_BYTES: usize = 128;
/// Line speeds that a host may try in a session.
pub const BAUD_LADDER_MAX: usize = 16;
/// Time between two tries to get the peer's ear about a line speed.
pub const BAUD_ASK_EVERY: Duration = Duration::from_millis(200);
/// Times that a host asks for a speed before it leaves the line as it is: several times what a
/// device needs to come back from a speed at which nothing is heard.
pub const BAUD_ASKS_MAX: u32 = 8;
/// Time between two calls at a new speed.
pub const BAUD_CALL_EVERY: Duration = Duration::from_millis(50);
/// Time after a change of speed before anything is sent: the hardware settles meanwhile.
pub const BAUD_GUARD: Duration = Duration::from_millis(5);
/// Silence at a speed under test after which both sides go back, beside the time of
/// [`BAUD_SILENCE_BITS`].
pub const BAUD_SILENCE: Duration = Duration::from_millis(400);
/// Bits at the speed under test that a side waits for beside [`BAUD_SILENCE`]: two pieces.
pub const BAUD_SILENCE_BITS: u64 = 2 * 10 * 160;
/// Silence at a speed that was good, after which both sides go back to that of the beginning.
pub const BAUD_LOST_AFTER: Duration = Duration::from_secs(3);
/// How often a host says at a raised speed that it is still there.
pub const BAUD_KEEP_EVERY: Duration = Duration::from_secs(1);
/// How long a device stays at a raised speed when its session is over: its last
/// acknowledgement may have been lost.
pub const BAUD_LINGER: Duration = Duration::from_millis(500);

const _: () = assert!(BAUD_TESTS == u32::BITS && BAUD_TESTS_MIN <= BAUD_TESTS);
const _: () = assert!(BAUD_KEEP_EVERY.as_millis() * 3 <= BAUD_LOST_AFTER.as_millis());
const _: () = assert!(
    BAUD_ASK_EVERY.as_millis() * (BAUD_ASKS_MAX as u128) > 3 * BAUD_SILENCE.as_millis(),
    "a device is asked until it is surely back"
);
const _: () = assert!(ASKED_AGAIN_MAX >= 4 * (REPAIR_ROUNDS_MAX + 1));
const _: () = assert!(SLICE_BYTES_MAX + PACKED_FRONT_BYTES <= PAYLOAD_BYTES_MAX);
const _: () = assert!(DATA_ADDRESS_BYTES <= PACKED_FRONT_BYTES);
const _: () = assert!((SLICE_BYTES_MAX as u64).is_multiple_of(ADDRESS_UNIT_BYTES));
const _: () = assert!(
    DATA_OVERHEAD_BYTES <= 28 && FRAME_OVERHEAD_BYTES + PACKED_FRONT_BYTES <= 28,
    "the overhead that the design allows"
);
const _: () = assert!(
    RX_BYTES_MAX <= 256 * 1024,
    "over the device's memory budget"
);
