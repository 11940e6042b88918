use std::thread;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_full_buffer_takes_a_part() {
    let (mut near, mut far) = pair_with_capacity(&VirtualClock::new(), "near", "far", 10);
    far.use_here();
    let mut inp = [0; 4];
    assert_eq!(
        near.exchange(&[7; 25], &mut [], SECOND).unwrap(),
        Moved {
            sent: 10,
            received: 0
        }
    );
    assert_eq!(
        far.exchange(&[], &mut inp, SECOND).unwrap(),
        Moved {
            sent: 0,
            received: 4
        }
    );
    assert_eq!(
        near.exchange(&[7; 15], &mut [], SECOND).unwrap(),
        Moved {
            sent: 4,
            received: 0
        }
    );
}

#[test]
fn silence_costs_virtual_time_only() {
    let clock = VirtualClock::new();
    let (mut near, far) = pair(&clock, "near", "far");
    far.use_here();
    let moved = near.exchange(&[], &mut [0; 4], 3600 * SECOND).unwrap();
    assert!(moved.is_nothing());
    assert_eq!(clock.now(), 3600 * SECOND);
}

#[test]
fn what_was_sent_before_hanging_up_is_read_first() {
    let (mut near, mut far) = pair(&VirtualClock::new(), "near", "far");
    near.use_here();
    far.exchange(b"last words", &mut [], SECOND).unwrap();
    drop(far);
    let mut inp = [0; 64];
    assert_eq!(
        near.exchange(b"x", &mut inp, SECOND).unwrap(),
        Moved {
            sent: 0,
            received: 10
        }
    );
    assert!(
        near.exchange(b"x", &mut inp, SECOND)
            .unwrap_err()
            .is_closed()
    );
}

#[test]
fn opened_by_name_the_two_ends_meet() {
    let spec = "loopback:two-ends-meet".parse().unwrap();
    let options = crate::OpenOptions::default();
    let mut near = crate::open(&spec, &options).unwrap();
    let mut far = crate::open(&spec, &options).unwrap();
    let answer = thread::spawn(move || {
        let mut inp = [0; 8];
        let moved = far.exchange(&[], &mut inp, SECOND).unwrap();
        far.exchange(&inp[..moved.received], &mut [], SECOND)
            .unwrap();
    });
    near.exchange(b"ping", &mut [], SECOND).unwrap();
    let mut inp = [0; 8];
    assert_eq!(near.exchange(&[], &mut inp, SECOND).unwrap().received, 4);
    drop(near);
    answer.join().unwrap();
}

#[test]
fn opened_by_name_alone_the_far_end_is_silence() {
    let spec = "loopback:silence".parse().unwrap();
    let mut near = crate::open(&spec, &crate::OpenOptions::default()).unwrap();
    assert!(
        near.exchange(&[], &mut [0; 1], 30 * SECOND)
            .unwrap()
            .is_nothing()
    );
    assert_eq!(near.clock().now(), 30 * SECOND);
}

#[test]
fn a_device_is_attached_at_the_far_end() {
    let options = crate::OpenOptions::default().with_device(Arc::new(|name, mut far| {
        let name = name.to_owned();
        thread::spawn(move || far.exchange(name.as_bytes(), &mut [], SECOND).map(|_| ()));
    }));
    let mut near = crate::open(&"loopback:dev-0".parse().unwrap(), &options).unwrap();
    let mut inp = [0; 16];
    let received = near.exchange(&[], &mut inp, SECOND).unwrap().received;
    assert_eq!(&inp[..received], b"dev-0");
}
