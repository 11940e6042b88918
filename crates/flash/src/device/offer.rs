//! The offer: a signed manifest, taken slice by slice, and judged before anything is done.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use nx_image::digest::Digest;
use nx_image::limits::{MANIFEST_BYTES_MAX, SIGNATURE_BYTES};
use nx_image::manifest::{Manifest, Profile};

use crate::device::config::{DeviceConfig, Policy};
use crate::device::keeps::Keeps;
use crate::device::request::StoreStatus;
use crate::wire::{OfferFlags, RejectCode};

/// Something that comes in `META` slices.
#[derive(Debug)]
pub(super) struct Incoming {
    bytes: Vec<u8>,
    /// Runs of bytes that have come, in order and apart.
    had: Vec<(usize, usize)>,
}

impl Incoming {
    /// Room for so many bytes; the caller has checked the number.
    pub(super) fn with_len(len: usize) -> Self {
        Self {
            bytes: alloc::vec![0; len],
            had: Vec::new(),
        }
    }

    /// Puts a slice in its place; returns whether it fits.
    pub(super) fn fit(&mut self, offset: u32, data: &[u8]) -> bool {
        let Ok(from) = usize::try_from(offset) else {
            return false;
        };
        let Some(to) = from.checked_add(data.len()) else {
            return false;
        };
        let Some(place) = self.bytes.get_mut(from..to) else {
            return false;
        };
        place.copy_from_slice(data);
        self.had.push((from, to));
        self.had.sort_unstable();
        let mut joined: Vec<(usize, usize)> = Vec::with_capacity(self.had.len());
        for (from, to) in self.had.drain(..) {
            match joined.last_mut() {
                Some((_, end)) if from <= *end => *end = to.max(*end),
                _ => joined.push((from, to)),
            }
        }
        self.had = joined;
        true
    }

    /// Whether every byte has come.
    pub(super) fn is_whole(&self) -> bool {
        self.had.as_slice() == [(0, self.bytes.len())]
    }

    /// The bytes.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Whether an offer of this length is to be taken at all.
pub(super) fn offer_len(bytes: u32) -> Option<usize> {
    let len = usize::try_from(bytes).ok()?;
    let manifest = len.checked_sub(SIGNATURE_BYTES)?;
    (1..=MANIFEST_BYTES_MAX).contains(&manifest).then_some(len)
}

/// An offer that is signed by one of the device's keys, and fits.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) manifest: Manifest,
    pub(super) manifest_bytes: Vec<u8>,
    pub(super) signature: Vec<u8>,
    pub(super) digest: Digest,
    pub(super) flags: OfferFlags,
    /// What stays as the device has it.
    pub(super) keeps: Keeps,
    /// What a strict policy would have refused.
    pub(super) tolerated: Vec<RejectCode>,
}

/// Why an offer is refused.
pub(super) type Refused = (RejectCode, String);

/// Judges an offer: the signature over the raw bytes first, only then what they say.
pub(super) fn judge(
    bytes: &[u8],
    flags: OfferFlags,
    config: &DeviceConfig,
    status: &StoreStatus,
) -> Result<Offer, Refused> {
    let malformed = || (RejectCode::Malformed, "offer too short".to_string());
    let (signature, raw) = bytes
        .split_at_checked(SIGNATURE_BYTES)
        .ok_or_else(malformed)?;
    let signed: &[u8; SIGNATURE_BYTES] = signature.try_into().map_err(|_| malformed())?;
    let key = config
        .keys
        .iter()
        .find(|key| key.verify(raw, signed).is_ok())
        .ok_or_else(|| {
            let count = config.keys.len();
            (
                RejectCode::Signature,
                format!("none of the device's {count} keys made the signature"),
            )
        })?;
    let manifest =
        Manifest::parse(raw).map_err(|error| (RejectCode::Manifest, error.to_string()))?;
    let image = &manifest.image;
    let mut tolerated = Vec::new();
    if let Err(error) = key.trust(image.profile) {
        tolerate(
            config.policy,
            RejectCode::Key,
            &error.to_string(),
            &mut tolerated,
        )?;
    }
    if let Some(board) = config.board.as_ref().filter(|board| **board != image.board) {
        let detail = format!("image for {}, device is {board}", image.board);
        tolerate(config.policy, RejectCode::Board, &detail, &mut tolerated)?;
    }
    if config.profile == Profile::Release && image.profile == Profile::Dev {
        let detail = "dev image on a release device";
        tolerate(config.policy, RejectCode::Profile, detail, &mut tolerated)?;
    }
    let keeps = Keeps::of_install(&manifest, flags, status)?;
    Ok(Offer {
        digest: Manifest::digest_of(raw),
        manifest_bytes: raw.to_vec(),
        signature: signature.to_vec(),
        manifest,
        flags,
        keeps,
        tolerated,
    })
}

fn tolerate(
    policy: Policy,
    code: RejectCode,
    detail: &str,
    tolerated: &mut Vec<RejectCode>,
) -> Result<(), Refused> {
    let refused = match policy {
        Policy::Strict => true,
        Policy::Permissive => code == RejectCode::Key,
        Policy::AuditOnly => false,
    };
    if refused {
        return Err((code, detail.to_string()));
    }
    tolerated.push(code);
    Ok(())
}
