use super::damage::locate;
use super::error::VerifyError;
use super::files::{Files, Verified, read_manifest};
use crate::digest::Digest;
use crate::key::PublicKey;
use crate::manifest::{Manifest, Region};
use crate::regular;
use crate::scan::{Lane, Roots, Segments, Whole, scan};

/// How much is proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Every byte of the image, by its own digest and by those of its segments.
    #[default]
    Bytes,
    /// The block roots too, which say the same once more: devices prove single blocks by them.
    /// A third digest of every byte.
    Blocks,
}

/// Proves an image against its signed manifest; `progress` gets bytes done and in all.
///
/// # Errors
/// What is not as it was signed: the first of it, by offset.
pub fn verify(
    files: &Files<'_>,
    keys: &[PublicKey],
    allow_unsigned: bool,
    depth: Depth,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verified, VerifyError> {
    let verified = read_manifest(files, keys, allow_unsigned)?;
    let manifest = &verified.manifest;
    let failed = |op| {
        move |source| VerifyError::Io {
            op,
            path: files.image.to_owned(),
            source,
        }
    };
    let image = regular::open(files.image).map_err(failed("open"))?;
    let got = image.metadata().map_err(failed("look at"))?.len();
    let want = manifest.image.size;
    // A short or long image is still read, so that the first damage is named.
    let end = got.min(want);
    let regions = manifest.regions();
    let mut whole = Whole::default();
    let mut segments = Segments::of(&regions);
    let mut roots =
        (depth == Depth::Blocks).then(|| Roots::of(&regions, manifest.image.block_size));
    let mut lanes: Vec<&mut dyn Lane> = vec![&mut whole, &mut segments];
    lanes.extend(roots.as_mut().map(|roots| roots as &mut dyn Lane));
    scan(&image, end, &regions, &mut lanes, &mut |done| {
        progress(done, want);
        Ok(())
    })
    .map_err(failed("read"))?;
    let (digests, stray) = segments.finish();
    if let Some(bad) = first_bad(manifest, &regions, &digests, stray) {
        return Err(match bad {
            Bad::Gap(offset) => VerifyError::Gap { offset },
            Bad::Segment(index) => {
                let damage =
                    locate(&image, files.manifest, manifest, index).map_err(failed("read"))?;
                let segment = manifest.segments.get(index);
                VerifyError::Segment {
                    segment: segment.map(|found| found.name.clone()).unwrap_or_default(),
                    damage,
                }
            }
        });
    }
    if got != want {
        return Err(VerifyError::Length { got, want });
    }
    check_manifest(manifest, &whole.finish(), roots)?;
    Ok(verified)
}

/// What is not as it was signed.
enum Bad {
    Gap(u64),
    Segment(usize),
}

/// The first of it, by offset.
fn first_bad(
    manifest: &Manifest,
    regions: &[Region],
    digests: &[Digest],
    stray: Option<u64>,
) -> Option<Bad> {
    regions.iter().find_map(|region| match region.segment {
        None => stray
            .filter(|offset| region.range.contains(offset))
            .map(Bad::Gap),
        Some(index) => {
            let want = manifest.segments.get(index).map(|found| &found.sha256);
            (digests.get(index) != want).then_some(Bad::Segment(index))
        }
    })
}

/// Digests that say the same of the same bytes have to agree.
fn check_manifest(
    manifest: &Manifest,
    whole: &Digest,
    roots: Option<Roots>,
) -> Result<(), VerifyError> {
    let roots = roots.map(Roots::finish).unwrap_or_default();
    for (segment, root) in manifest.segments.iter().zip(&roots) {
        if segment.block_root != *root {
            return Err(VerifyError::BlockRoot {
                segment: segment.name.clone(),
            });
        }
    }
    match *whole == manifest.image.sha256 {
        true => Ok(()),
        false => Err(VerifyError::Image),
    }
}
