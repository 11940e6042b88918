use std::sync::{Arc, Mutex};

use nx_transport::{Party, VirtualClock};

use super::*;

const TIMEOUT: Duration = Duration::from_millis(200);

type Answers = Arc<Mutex<VecDeque<Result<Moved, TransportError>>>>;

/// A link that answers as it is told, on virtual time.
#[derive(Debug)]
struct Told {
    answers: Answers,
    caps: Caps,
    clock: Clock,
}

impl Transport for Told {
    fn caps(&self) -> Caps {
        self.caps
    }

    fn exchange(
        &mut self,
        _out: &[u8],
        _inp: &mut [u8],
        _timeout: Duration,
    ) -> Result<Moved, TransportError> {
        let answer = self.answers.lock().unwrap().pop_front();
        answer.unwrap_or(Ok(Moved::default()))
    }

    fn drain(&mut self, _timeout: Duration) -> Result<(), TransportError> {
        Ok(())
    }

    fn clock(&self) -> Clock {
        self.clock.clone()
    }
}

/// Links that answer from one list, and tries to open them from another.
struct Bench {
    answers: Answers,
    opens: Arc<Mutex<VecDeque<TransportError>>>,
    party: Party,
    caps: Caps,
}

impl Bench {
    fn new(caps: Caps) -> Self {
        Self {
            answers: Answers::default(),
            opens: Arc::default(),
            party: VirtualClock::new().register("test"),
            caps,
        }
    }

    fn told(&self) -> Box<dyn Transport> {
        Box::new(Told {
            answers: Arc::clone(&self.answers),
            caps: self.caps,
            clock: self.party.clock(),
        })
    }

    fn lasting(&self) -> Lasting<'_> {
        let reopen = || match self.opens.lock().unwrap().pop_front() {
            Some(error) => Err(error),
            None => Ok(self.told()),
        };
        let mut link = Lasting::over("unix:/s".into(), self.told(), Box::new(reopen));
        link.last(true);
        link
    }

    fn answer(&self, answer: Result<Moved, TransportError>) {
        self.answers.lock().unwrap().push_back(answer);
    }
}

fn closed() -> TransportError {
    let port = "unix:/s".into();
    TransportError::Closed { port }
}

fn refused() -> TransportError {
    let port = "unix:/s".into();
    TransportError::Refused { port }
}

fn moved() -> Moved {
    let (sent, received) = (1, 2);
    Moved { sent, received }
}

fn exchange(link: &mut Lasting<'_>) -> Result<Moved, TransportError> {
    link.exchange(b"x", &mut [0; 8], TIMEOUT)
}

#[test]
fn a_link_that_closes_is_silent_until_it_is_open_again() {
    let bench = Bench::new(Caps::new());
    let mut link = bench.lasting();
    bench.answer(Err(closed()));
    bench.opens.lock().unwrap().extend([refused(), refused()]);
    assert!(exchange(&mut link).unwrap().is_nothing());
    assert_eq!(link.news(), Some(News::Lost));
    // Tried at once, then twice a second.
    for seconds in [0.0, 0.2, 0.4, 0.5, 0.7] {
        assert!(exchange(&mut link).unwrap().is_nothing());
        assert_eq!(bench.party.clock().now().as_secs_f64(), seconds);
        assert_eq!(link.news(), None);
    }
    assert!(matches!(link.down(), Some(TransportError::Refused { .. })));
    for _ in 0..2 {
        exchange(&mut link).unwrap();
    }
    assert_eq!(bench.party.clock().now(), Duration::from_secs(1));
    assert_eq!(link.news(), Some(News::Back));
    assert!(link.down().is_none());
    bench.answer(Ok(moved()));
    assert_eq!(exchange(&mut link).unwrap(), moved());
    assert_eq!(link.news(), None);
}

#[test]
fn a_link_that_is_not_to_last_ends() {
    let bench = Bench::new(Caps::new());
    let mut link = bench.lasting();
    link.last(false);
    bench.answer(Err(closed()));
    assert!(exchange(&mut link).unwrap_err().is_closed());
    assert_eq!(link.news(), None);
}

#[test]
fn a_link_that_is_down_ends_once_it_need_not_come_back() {
    let bench = Bench::new(Caps::new());
    let mut link = bench.lasting();
    bench.answer(Err(closed()));
    bench.opens.lock().unwrap().extend([refused(), refused()]);
    for _ in 0..2 {
        exchange(&mut link).unwrap();
    }
    link.last(false);
    assert!(exchange(&mut link).unwrap_err().is_closed());
}

#[test]
fn a_port_that_cannot_come_back_ends_it() {
    let bench = Bench::new(Caps::new());
    let mut link = bench.lasting();
    bench.answer(Err(closed()));
    let (port, what) = ("unix:/s".into(), "this".into());
    let gone = TransportError::Unsupported { port, what };
    bench.opens.lock().unwrap().push_back(gone);
    exchange(&mut link).unwrap();
    assert!(matches!(
        exchange(&mut link),
        Err(TransportError::Unsupported { .. })
    ));
}

#[test]
fn a_link_that_serves_the_next_peer_is_kept_open() {
    let bench = Bench::new(Caps::new().with_next_peer(true));
    // Opening it again would fail: the port is still ours.
    bench.opens.lock().unwrap().push_back(refused());
    let mut link = bench.lasting();
    bench.answer(Err(closed()));
    bench.answer(Ok(Moved::default()));
    bench.answer(Ok(moved()));
    for _ in 0..2 {
        assert!(exchange(&mut link).unwrap().is_nothing());
    }
    assert_eq!(link.news(), Some(News::Lost));
    assert_eq!(link.news(), None);
    assert_eq!(exchange(&mut link).unwrap(), moved());
    assert_eq!(link.news(), Some(News::Back));
}

#[test]
fn on_virtual_time_the_end_of_a_link_is_the_end() {
    let bench = Bench::new(Caps::new().with_virtual_time(true));
    let mut link = bench.lasting();
    bench.answer(Err(closed()));
    assert!(exchange(&mut link).unwrap_err().is_closed());
}
