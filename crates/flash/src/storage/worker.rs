//! A store with a thread of its own, so that a device goes on listening while its medium works.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Store;
use crate::device::{Outcome, Request, StoreError};
use crate::machine::RequestId;

/// Bytes to be written that wait at most, beside one block: what a medium that stops for a moment
/// falls behind. Whoever asks for more waits.
const WAITING_BYTES_MAX: usize = 256 * 1_024;

/// A request and its name, on the way to the thread.
type Asked = (RequestId, Request);
/// An answer on the way back.
type Answer = (RequestId, Outcome);

/// A store with a thread of its own.
///
/// What writes to the medium and what waits for it is done on the thread. Everything else is
/// answered at once while the thread is idle, and in its turn while it is not: a store sees the
/// requests in their order, and is used by one thread at a time.
#[derive(Debug)]
pub struct Worker<S> {
    store: Arc<Mutex<S>>,
    thread: Option<JoinHandle<()>>,
    /// None when it is being dropped.
    requests: Option<Sender<Asked>>,
    answers: Receiver<Answer>,
    /// Answers that came while a request waited to be taken.
    ready: VecDeque<Answer>,
    /// Requests that the thread has not answered yet, and their bytes, oldest first.
    owed: VecDeque<(RequestId, usize)>,
    owed_bytes: usize,
}

impl<S: Store + 'static> Worker<S> {
    /// Starts the thread. Dropping this waits until all that was asked is done.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(store: S) -> io::Result<Self> {
        let store = Arc::new(Mutex::new(store));
        let (requests, asked) = channel::<Asked>();
        let (done, answers) = channel();
        let shared = Arc::clone(&store);
        let work = move || {
            for (id, request) in asked {
                let outcome = serve(&shared, request);
                if done.send((id, outcome)).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(work)?;
        Ok(Self {
            store,
            thread: Some(thread),
            requests: Some(requests),
            answers,
            ready: VecDeque::new(),
            owed: VecDeque::new(),
            owed_bytes: 0,
        })
    }

    /// Takes a request, and answers it if that is done at once.
    pub fn take(&mut self, id: RequestId, request: Request) -> Option<Outcome> {
        if !self.owes_answers() && !is_slow(&request) {
            return Some(self.serve(request));
        }
        let bytes = waiting_bytes(&request);
        while self.owed_bytes > WAITING_BYTES_MAX && bytes > 0 {
            let answer = self.receive(None)?;
            self.ready.push_back(answer);
        }
        self.owed.push_back((id, bytes));
        self.owed_bytes = self.owed_bytes.saturating_add(bytes);
        if let Some(requests) = &self.requests {
            // A thread that is gone is told of when the answer is waited for.
            let _ = requests.send((id, request));
        }
        None
    }

    /// Answers a request at once, for a device whose time is not that of the thread.
    pub fn serve(&self, request: Request) -> Outcome {
        serve(&self.store, request)
    }

    /// The next answer to what was not answered at once, waited for at most so long.
    pub fn answer(&mut self, patience: Duration) -> Option<(RequestId, Outcome)> {
        match self.ready.pop_front() {
            Some(answer) => Some(answer),
            None if self.owed.is_empty() => None,
            None => self.receive(Some(patience)),
        }
    }

    /// Whether answers are due.
    pub fn owes_answers(&self) -> bool {
        !self.owed.is_empty() || !self.ready.is_empty()
    }

    /// Waits for the thread; without end if no time is given.
    fn receive(&mut self, patience: Option<Duration>) -> Option<Answer> {
        let received = match patience {
            Some(patience) => self.answers.recv_timeout(patience),
            None => self
                .answers
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
        };
        let answer = match received {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => None,
        };
        let (id, bytes) = self.owed.pop_front()?;
        self.owed_bytes = self.owed_bytes.saturating_sub(bytes);
        Some(answer.unwrap_or_else(|| {
            let gone = "the thread of the store ended early".to_owned();
            (id, Outcome::Failed(StoreError::Failed(gone)))
        }))
    }
}

impl<S> Drop for Worker<S> {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // What it panicked with has been told.
            let _ = thread.join();
        }
    }
}

fn serve(store: &Mutex<impl Store>, request: Request) -> Outcome {
    let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
    store.serve(request)
}

/// Whether a request writes much, or waits for the medium.
const fn is_slow(request: &Request) -> bool {
    matches!(
        request,
        Request::Write { .. } | Request::Sync | Request::Install
    )
}

/// Memory that a request takes while it waits.
const fn waiting_bytes(request: &Request) -> usize {
    match request {
        Request::Write { bytes, .. } => bytes.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
