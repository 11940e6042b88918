use std::fs::File;

use super::damage::locate;
use super::error::VerifyError;
use super::files::{Files, Verified, read_manifest};
use crate::key::PublicKey;
use crate::manifest::Manifest;
use crate::scan::{Scanned, scan};

/// Proves an image against its signed manifest; `progress` gets bytes done and in all.
///
/// # Errors
/// What is not as it was signed: the first of it, by offset.
pub fn verify(
    files: &Files<'_>,
    keys: &[PublicKey],
    allow_unsigned: bool,
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
    let image = File::open(files.image).map_err(failed("open"))?;
    let got = image.metadata().map_err(failed("look at"))?.len();
    let want = manifest.image.size;
    // A short or long image is still read, so that the first damage is named.
    let end = got.min(want);
    let regions = manifest.regions();
    let found = scan(
        &image,
        &regions,
        manifest.image.block_size,
        end,
        &mut |done| {
            progress(done, want);
            Ok(())
        },
    )
    .map_err(failed("read"))?;
    for region in &regions {
        let Some(index) = region.segment else {
            match found.stray {
                Some(offset) if region.range.contains(&offset) => {
                    return Err(VerifyError::Gap { offset });
                }
                _ => continue,
            }
        };
        let Some(segment) = manifest.segments.get(index) else {
            continue;
        };
        if found.segments.get(index) != Some(&segment.sha256) {
            let damage = locate(&image, files.manifest, manifest, index).map_err(failed("read"))?;
            return Err(VerifyError::Segment {
                segment: segment.name.clone(),
                damage,
            });
        }
    }
    if got != want {
        return Err(VerifyError::Length { got, want });
    }
    check_manifest(manifest, &found)?;
    Ok(verified)
}

/// Digests that say the same of the same bytes have to agree.
fn check_manifest(manifest: &Manifest, found: &Scanned) -> Result<(), VerifyError> {
    for (segment, root) in manifest.segments.iter().zip(&found.roots) {
        if segment.block_root != *root {
            return Err(VerifyError::BlockRoot {
                segment: segment.name.clone(),
            });
        }
    }
    match found.whole == manifest.image.sha256 {
        true => Ok(()),
        false => Err(VerifyError::Image),
    }
}
