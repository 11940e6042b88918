use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::*;
use crate::wire::BootTarget;

const BLOCK_BYTES: usize = 65_536;
/// Nothing here takes longer.
const LONG: Duration = Duration::from_secs(30);

/// Does what the test says when it is asked to write, and keeps what it was asked.
struct Gated<F> {
    write: F,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl<F> std::fmt::Debug for Gated<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gated")
    }
}

impl<F: FnMut() + Send> Store for Gated<F> {
    fn serve(&mut self, request: Request) -> Outcome {
        if matches!(request, Request::Write { .. }) {
            (self.write)();
        }
        self.seen.lock().unwrap().push(request);
        Outcome::Done
    }
}

fn gated<F: FnMut() + Send>(write: F) -> (Gated<F>, Arc<Mutex<Vec<Request>>>) {
    let seen = Arc::default();
    let store = Gated {
        write,
        seen: Arc::clone(&seen),
    };
    (store, seen)
}

fn write(number: u8) -> Request {
    Request::Write {
        offset: 0,
        bytes: vec![number; BLOCK_BYTES],
    }
}

#[test]
fn what_is_asked_behind_a_write_is_answered_behind_it() {
    let (open, gate) = mpsc::channel::<()>();
    let (store, seen) = gated(move || gate.recv().unwrap());
    let mut worker = Worker::start(store).unwrap();
    let boot = Request::SetBoot(BootTarget::Normal);
    assert_eq!(worker.take(RequestId(1), boot.clone()), Some(Outcome::Done));
    assert_eq!(worker.take(RequestId(2), write(0)), None);
    assert_eq!(worker.take(RequestId(3), boot.clone()), None);
    assert!(worker.owes_answers());
    assert_eq!(worker.answer(Duration::ZERO), None);
    open.send(()).unwrap();
    let answers = [worker.answer(LONG), worker.answer(LONG)];
    let [Some((first, _)), Some((second, _))] = answers else {
        panic!("{answers:?}");
    };
    assert_eq!((first, second), (RequestId(2), RequestId(3)));
    assert!(!worker.owes_answers());
    assert_eq!(worker.take(RequestId(4), boot.clone()), Some(Outcome::Done));
    let want = [boot.clone(), write(0), boot.clone(), boot];
    assert_eq!(*seen.lock().unwrap(), want);
}

#[test]
fn a_medium_that_falls_behind_is_waited_for() {
    const BLOCKS: usize = 40;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let full = WAITING_BYTES_MAX / BLOCK_BYTES + 2;
    // It stands still until there is more to take than may wait.
    let (store, _) = gated(move || while counted.load(Ordering::Relaxed) < full {});
    let mut worker = Worker::start(store).unwrap();
    for number in 1..=BLOCKS {
        asked.store(number, Ordering::Relaxed);
        let id = RequestId(number as u64);
        assert_eq!(worker.take(id, write(0)), None);
        assert!(worker.owed_bytes <= WAITING_BYTES_MAX + BLOCK_BYTES);
    }
    for number in 1..=BLOCKS {
        let answer = worker.answer(LONG);
        assert_eq!(answer, Some((RequestId(number as u64), Outcome::Done)));
    }
}

#[test]
fn what_was_asked_is_done_before_it_is_dropped() {
    let (store, seen) = gated(|| {});
    let mut worker = Worker::start(store).unwrap();
    for number in 0..10 {
        worker.take(RequestId(u64::from(number)), write(number));
    }
    drop(worker);
    let want: Vec<Request> = (0..10).map(write).collect();
    assert_eq!(*seen.lock().unwrap(), want);
}

#[test]
fn a_store_that_panics_fails_all_that_is_asked() {
    let (store, _) = gated(|| panic!("as the test wants"));
    let mut worker = Worker::start(store).unwrap();
    for number in 0..3 {
        worker.take(RequestId(number), write(0));
    }
    for number in 0..3 {
        let answer = worker.answer(LONG);
        let Some((id, Outcome::Failed(_))) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(id, RequestId(number));
    }
    assert!(!worker.owes_answers());
}
