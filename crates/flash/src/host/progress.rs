//! How far a job is, and what it cost.

use crate::host::job::Running;
use crate::session::Channel;

/// How far a job is, and what it cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Image data sent for the first time, in bytes, packed where it went packed.
    pub payload_bytes: u64,
    /// Bytes of all frames sent.
    pub wire_bytes: u64,
    /// Bytes of frames that were lost and had to be sent again.
    pub retransmitted_bytes: u64,
    /// Bytes that came in.
    pub received_bytes: u64,
    /// Blocks of the image.
    pub blocks_total: u32,
    /// Blocks of which the device has said, in the newest session, whether it needs them.
    pub blocks_known: u32,
    /// Blocks that the device asked for so far.
    pub blocks_needed: u32,
    /// Blocks that arrived.
    pub blocks_sent: u32,
    /// Of those, blocks that went packed.
    pub blocks_packed: u32,
    /// Frames that arrived damaged.
    pub damaged_frames: u64,
}

impl Progress {
    /// Blocks that need not be sent, because the device had them before; as far as it has said.
    pub const fn blocks_skipped(&self) -> u32 {
        self.blocks_known.saturating_sub(self.blocks_needed)
    }

    /// Adds what a session's frames cost.
    pub(super) fn add_channel(&mut self, channel: &Channel) {
        self.wire_bytes = self.wire_bytes.saturating_add(channel.wire_bytes());
        self.retransmitted_bytes = self
            .retransmitted_bytes
            .saturating_add(channel.retransmitted_bytes());
    }

    /// Takes away what will be added once more when the session ends.
    pub(super) fn subtract_channel(&mut self, channel: &Channel) {
        self.wire_bytes = self.wire_bytes.saturating_sub(channel.wire_bytes());
        self.retransmitted_bytes = self
            .retransmitted_bytes
            .saturating_sub(channel.retransmitted_bytes());
    }

    /// Adds what a session did of the job.
    pub(super) fn add_job(&mut self, job: &Running) {
        if let Some(plan) = &job.plan {
            self.payload_bytes = self.payload_bytes.saturating_add(plan.payload_bytes());
            self.blocks_total = plan.map().block_count();
            self.blocks_known = plan.blocks_known();
            self.blocks_needed = self.blocks_needed.saturating_add(plan.blocks_needed());
            self.blocks_sent = self.blocks_sent.saturating_add(plan.blocks_sent());
            self.blocks_packed = self.blocks_packed.saturating_add(plan.packed_blocks());
        }
    }
}
