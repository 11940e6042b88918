//! The device of the demonstration, and jobs on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use nx_flash::device::DeviceConfig;
use nx_flash::drive::{Driver, NoTape, Round, Shell};
use nx_flash::host::{Event, Failure, Host, HostConfig, Job, Outcome, Progress, Request};
use nx_flash::source::ImageSource;
use nx_flash::splitter::FlashSplitter;
use nx_flash::storage::{FileStore, FileStoreConfig, Layout, StorageError};
use nx_flash::time::Instant;
use nx_image::PublicKey;
use nx_transport::{OpenOptions, open};

use crate::commands::flash::in_process;
use crate::error::{NxError, failed};
use crate::interrupt::Interrupt;
use crate::reason::Reason;

/// Names one job after another.
const FIRST_NONCE: u64 = 1;

/// A device in a folder. It starts anew for each job, as after a power cut.
pub(super) struct Bench {
    folder: PathBuf,
    key: PublicKey,
    interrupt: Interrupt,
    jobs: u64,
}

/// How a job went.
pub(super) struct Done {
    /// What it ended with: the answer, or why there is none.
    pub(super) result: Result<Event, Failure>,
    /// How far it came.
    pub(super) progress: Progress,
    /// Which start of the device this was.
    pub(super) boot: u32,
}

impl Bench {
    /// A device that trusts this key and has nothing yet.
    pub(super) const fn new(folder: PathBuf, key: PublicKey, interrupt: Interrupt) -> Self {
        Self {
            folder,
            key,
            interrupt,
            jobs: FIRST_NONCE,
        }
    }

    /// Starts the device behind `port`, does a job on it, and stops it.
    ///
    /// # Errors
    /// When there is no device, no link, or somebody wants the end. A job that failed is none.
    pub(super) fn job(
        &mut self,
        port: &str,
        job: Job,
        source: Option<&ImageSource>,
    ) -> Result<Done, NxError> {
        let store = FileStore::open(&FileStoreConfig {
            target: self.target(),
            journal: self.folder.join("journal"),
            layout: Some(Layout::File),
            boot_record: Some(self.folder.join("next-boot")),
        })
        .map_err(storage)?;
        let boot = store.boot();
        let config = DeviceConfig::new(vec![self.key], boot);
        let serving: Arc<Mutex<Option<JoinHandle<()>>>> = Arc::default();
        let (waiting, threads) = (Mutex::new(Some(store)), Arc::clone(&serving));
        let options = OpenOptions::new()
            .with_splitter(FlashSplitter::boxed)
            .with_device(Arc::new(move |_, mut far| {
                let config = config.clone();
                if let Some(store) = take(&waiting) {
                    let thread = thread::spawn(move || in_process::serve(&mut far, config, store));
                    *threads.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
                }
            }));
        let mut link = open(&port.parse()?, &options)?;
        let mut machine = Host::new(HostConfig::new(self.jobs, job));
        self.jobs = self.jobs.saturating_add(1);
        let mut shell = JobShell {
            source,
            interrupt: &self.interrupt,
            answer: None,
            failure: None,
        };
        let mut driver = Driver::new();
        while driver.round(&mut *link, &mut machine, &mut shell, &mut NoTape)? == Round::Going {}
        drop(link);
        if let Some(thread) = take(&serving) {
            thread.join().map_err(|_| {
                NxError::new(Reason::InternalUnexpected, "the device's thread broke")
            })?;
        }
        let result = match (shell.failure, shell.answer) {
            (Some(Failure::Stopped), _) => return Err(failed(&Failure::Stopped)),
            (None, Some(answer)) => Ok(answer),
            (failure, _) => Err(failure.unwrap_or(Failure::Closed)),
        };
        Ok(Done {
            result,
            progress: machine.progress(),
            boot,
        })
    }

    /// Whether the device has installed exactly these bytes.
    pub(super) fn holds(&self, image: &Path) -> Result<bool, NxError> {
        let read = |path: &Path| {
            fs::read(path).map_err(|error| NxError::of(Reason::InternalUnexpected, &error))
        };
        Ok(read(&self.target())? == read(image)?)
    }

    fn target(&self) -> PathBuf {
        self.folder.join("disk.img")
    }
}

fn take<T>(place: &Mutex<Option<T>>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is given to map_err, which has nothing else to do with it"
)]
fn storage(error: StorageError) -> NxError {
    NxError::of(Reason::InternalUnexpected, &error).hint("a folder with some room in it as TMPDIR")
}

struct JobShell<'a> {
    source: Option<&'a ImageSource>,
    interrupt: &'a Interrupt,
    answer: Option<Event>,
    failure: Option<Failure>,
}

impl Shell<Host> for JobShell<'_> {
    fn serve(&mut self, request: Request) -> Outcome {
        match self.source {
            Some(source) => source.serve(&request),
            None => Outcome::Failed("this job has no image".to_owned()),
        }
    }

    fn event(&mut self, event: Event, _machine: &Host) {
        match event {
            Event::Failed(failure) => self.failure = Some(failure),
            Event::Installed { .. } | Event::Verified { .. } => self.answer = Some(event),
            _ => {}
        }
    }

    fn tick(&mut self, machine: &mut Host, now: Instant) {
        if self.interrupt.is_wanted() {
            machine.stop(now);
        }
    }
}
