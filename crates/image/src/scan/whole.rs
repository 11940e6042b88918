use super::lane::Lane;
use crate::digest::{Digest, Hasher};
use crate::manifest::Region;

/// The digest of the whole image.
#[derive(Debug, Default)]
pub(crate) struct Whole(Hasher);

impl Whole {
    pub(crate) fn finish(self) -> Digest {
        self.0.finish()
    }
}

impl Lane for Whole {
    fn take(&mut self, _region: &Region, _at: u64, bytes: &[u8]) {
        self.0.update(bytes);
    }
}
