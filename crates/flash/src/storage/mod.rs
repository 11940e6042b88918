//! Where a device keeps images: one [`Store`] a layout.
//!
//! What is on the medium is never believed. A store keeps the manifest of what is staged, and
//! the machine digests the staged bytes again after every restart; there is no record of
//! blocks that could be wrong.

mod ab;
mod boot_record;
mod digests;
mod disk;
mod error;
mod file;
mod journal;
mod lock;
mod memory;
mod ops;
mod pages;
mod places;
mod readers;
mod replace;
mod search;
mod target;
mod worker;

pub use ab::{AbConfig, AbStore, Confirmed, Opened, Running};
pub use disk::{Disk, FileDisk};
pub use error::StorageError;
pub use file::{FileStore, FileStoreConfig};
pub use memory::MemoryStore;
pub use ops::{Create, Ops, System};
pub use pages::{MemoryPages, Pages};
pub use target::Layout;
pub use worker::Worker;

use crate::device::{Outcome, Request};

/// A device's storage, as its machine sees it.
pub trait Store: std::fmt::Debug + Send {
    /// Answers one request. A failure is an answer too: [`Outcome::Failed`].
    fn serve(&mut self, request: Request) -> Outcome;
}

impl Store for Box<dyn Store> {
    fn serve(&mut self, request: Request) -> Outcome {
        (**self).serve(request)
    }
}
