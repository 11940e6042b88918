use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt::Write as _, str::FromStr};

use serde::{Deserialize, Deserializer, de};

use super::{ImageInfo, Manifest, ManifestError, Segment, Slots};
use crate::{digest::Digest, limits::MANIFEST_BYTES_MAX};

/// Name and version of the format: the first member of every manifest, so that no other
/// signed document can be taken for one.
pub const FORMAT: &str = "nexus-os-image/1";

const PREFIX: &str = "{\"format\":\"nexus-os-image/1\",";
const PREFIX_ANY_VERSION: &str = "{\"format\":\"nexus-os-image/";

pub(super) fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    if bytes.len() > MANIFEST_BYTES_MAX {
        return Err(ManifestError::TooLong {
            got: bytes.len(),
            max: MANIFEST_BYTES_MAX,
        });
    }
    if !bytes.starts_with(PREFIX.as_bytes()) {
        return Err(match bytes.starts_with(PREFIX_ANY_VERSION.as_bytes()) {
            true => ManifestError::OtherVersion { supported: 1 },
            false => ManifestError::OtherFormat { want: PREFIX },
        });
    }
    let wire: WireManifest =
        serde_json::from_slice(bytes).map_err(|error| ManifestError::Malformed {
            what: error.to_string(),
        })?;
    let installed = wire.image.installed_sha256;
    let manifest = Manifest {
        image: wire.image.into(),
        segments: wire.segments.into_iter().map(Segment::from).collect(),
    };
    manifest.check()?;
    let want = manifest.installed_digest();
    if installed != want {
        return Err(ManifestError::InstalledDigest {
            want,
            got: installed,
        });
    }
    // One form only: whatever a lenient reader accepts, the encoder's bytes decide.
    let canonical = encode(&manifest);
    if canonical != bytes {
        let same = canonical
            .iter()
            .zip(bytes)
            .take_while(|(a, b)| a == b)
            .count();
        return Err(ManifestError::NotCanonical { offset: same });
    }
    Ok(manifest)
}

pub(super) fn encode(manifest: &Manifest) -> Vec<u8> {
    let ImageInfo {
        size,
        sha256,
        board,
        profile,
        image_version,
        rollback_index,
        block_size,
        table,
        slots,
    } = &manifest.image;
    let installed = manifest.installed_digest();
    // A disk with one slot says nothing of slots: its manifest is older than they are.
    let slots = match slots {
        Slots::One => String::new(),
        more => format!(",\"slots\":{more}"),
    };
    let mut text = format!(
        "{PREFIX}\"image\":{{\"size\":{size},\"sha256\":\"{sha256}\",\
         \"installed_sha256\":\"{installed}\",\"board\":{},\"profile\":\"{profile}\",\
         \"image_version\":{},\"rollback_index\":{rollback_index},\
         \"block_size\":{block_size},\"table\":\"{table}\"{slots}}},\"segments\":[",
        Quoted(board),
        Quoted(image_version),
    );
    for (index, segment) in manifest.segments.iter().enumerate() {
        let Segment {
            name,
            kind,
            role,
            offset,
            size,
            sha256,
            block_root,
        } = segment;
        let comma = if index == 0 { "" } else { "," };
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            "{comma}{{\"name\":{},\"type\":\"{kind}\",\"role\":\"{role}\",\
             \"offset\":{offset},\"size\":{size},\"sha256\":\"{sha256}\",\
             \"block_root\":\"{block_root}\"}}",
            Quoted(name),
        );
    }
    text.push_str("]}\n");
    text.into_bytes()
}

/// A JSON string. Checked manifests hold nothing that needs an escape; an unchecked one
/// still becomes JSON, so that it is refused for what is wrong with it.
struct Quoted<'a>(&'a str);

impl core::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireManifest {
    #[serde(rename = "format")]
    _format: String,
    image: WireImage,
    segments: Vec<WireSegment>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireImage {
    size: u64,
    #[serde(deserialize_with = "parsed")]
    sha256: Digest,
    #[serde(deserialize_with = "parsed")]
    installed_sha256: Digest,
    board: String,
    #[serde(deserialize_with = "parsed")]
    profile: super::Profile,
    image_version: String,
    rollback_index: u64,
    block_size: u32,
    #[serde(deserialize_with = "parsed")]
    table: super::Table,
    #[serde(default, deserialize_with = "count")]
    slots: Slots,
}

impl From<WireImage> for ImageInfo {
    fn from(wire: WireImage) -> Self {
        Self {
            size: wire.size,
            sha256: wire.sha256,
            board: wire.board,
            profile: wire.profile,
            image_version: wire.image_version,
            rollback_index: wire.rollback_index,
            block_size: wire.block_size,
            table: wire.table,
            slots: wire.slots,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSegment {
    name: String,
    #[serde(rename = "type", deserialize_with = "parsed")]
    kind: super::SegmentKind,
    #[serde(deserialize_with = "parsed")]
    role: super::Role,
    offset: u64,
    size: u64,
    #[serde(deserialize_with = "parsed")]
    sha256: Digest,
    #[serde(deserialize_with = "parsed")]
    block_root: Digest,
}

impl From<WireSegment> for Segment {
    fn from(wire: WireSegment) -> Self {
        Self {
            name: wire.name,
            kind: wire.kind,
            role: wire.role,
            offset: wire.offset,
            size: wire.size,
            sha256: wire.sha256,
            block_root: wire.block_root,
        }
    }
}

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Slots, D::Error> {
    let count = u32::deserialize(deserializer)?;
    Slots::of(count).ok_or_else(|| de::Error::custom("slots are 1 or 2"))
}

fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: core::fmt::Display>,
{
    String::deserialize(deserializer)?
        .parse()
        .map_err(de::Error::custom)
}
