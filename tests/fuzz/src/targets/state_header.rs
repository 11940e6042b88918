use nx_image::state::StateHeader;

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "state_header",
    bytes_max: StateHeader::BYTES,
    run,
    seeds,
};

/// The front of a header; the rest is zeros, and the checksum matches.
fn run(bytes: &[u8]) -> bool {
    if let Ok(header) = StateHeader::parse(bytes) {
        assert_eq!(header.encode(), bytes);
    }
    let mut header = bytes.to_vec();
    header.resize(StateHeader::BYTES, 0);
    let crc_at = StateHeader::BYTES - 4;
    let crc = crc32fast::hash(&header[..crc_at]);
    header[crc_at..].copy_from_slice(&crc.to_le_bytes());
    let Ok(parsed) = StateHeader::parse(&header) else {
        return false;
    };
    assert_eq!(parsed.encode(), header, "a header has one form");
    true
}

fn seeds() -> Vec<Vec<u8>> {
    [4_096_u64, 1 << 20, u64::MAX]
        .map(|partition_bytes| StateHeader { partition_bytes }.encode()[..32].to_vec())
        .to_vec()
}
