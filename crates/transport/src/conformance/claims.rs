//! What every link must do.

use std::time::Duration;

use crate::conformance::Outcome;
use crate::conformance::bench::{Ends, same};

/// One rule, and how to find out whether a link keeps it.
pub(super) struct Claim {
    pub(super) name: &'static str,
    pub(super) check: fn(Ends) -> Outcome,
}

/// Every claim, cheap ones first.
pub(super) const ALL: &[Claim] = &[
    Claim {
        name: "caps_and_clock_agree_and_stay",
        check: caps_and_clock_agree_and_stay,
    },
    Claim {
        name: "silence_ends_with_the_timeout",
        check: silence_ends_with_the_timeout,
    },
    Claim {
        name: "no_timeout_does_not_wait",
        check: no_timeout_does_not_wait,
    },
    Claim {
        name: "empty_slices_move_nothing",
        check: empty_slices_move_nothing,
    },
    Claim {
        name: "single_bytes_keep_their_order",
        check: single_bytes_keep_their_order,
    },
    Claim {
        name: "what_has_no_room_stays",
        check: what_has_no_room_stays,
    },
    Claim {
        name: "both_ways_at_once_all_arrives",
        check: both_ways_at_once_all_arrives,
    },
    Claim {
        name: "a_peer_that_does_not_read",
        check: a_peer_that_does_not_read,
    },
    Claim {
        name: "drain_keeps_its_deadline",
        check: drain_keeps_its_deadline,
    },
    Claim {
        name: "last_bytes_then_closed",
        check: last_bytes_then_closed,
    },
    Claim {
        name: "sending_to_nobody_is_closed",
        check: sending_to_nobody_is_closed,
    },
];

/// Bytes each way in the large transfer, unless the link is too slow for that.
const LARGE_BYTES: u32 = 1024 * 1024;

/// Seconds that the large transfer may take on a link that knows its rate.
const LARGE_SECONDS: u32 = 5;

/// Bytes taken from a sender whose peer does not read, after which the link counts as endless.
const ENDLESS_BYTES: usize = 64 * 1024 * 1024;

fn caps_and_clock_agree_and_stay(ends: Ends) -> Outcome {
    ends.play(
        |end| {
            let before = end.link().caps();
            if before.virtual_time != end.link().clock().is_virtual() {
                return Err("`Caps::virtual_time` and the clock contradict each other".to_owned());
            }
            end.transfer(b"ping", &mut [0; 4])?;
            end.say_done();
            end.idle_until_other_done()?;
            if end.link().caps() == before {
                Ok(())
            } else {
                Err("the caps changed".to_owned())
            }
        },
        |mut end| {
            end.transfer(b"pong", &mut [0; 4])?;
            end.say_done();
            end.idle_until_other_done()
        },
    )
}

fn silence_ends_with_the_timeout(ends: Ends) -> Outcome {
    ends.play(
        |end| {
            let timeout = Duration::from_millis(100);
            match end.exchange(&[], &mut [0; 16], timeout)? {
                Ok(moved) if moved.is_nothing() => Ok(()),
                Ok(moved) => Err(format!("moved {moved:?} though nobody sent anything")),
                Err(error) => Err(format!("silence gave: {error}")),
            }
        },
        |mut end| end.idle_until_other_done(),
    )
}

fn no_timeout_does_not_wait(ends: Ends) -> Outcome {
    ends.play(
        |end| {
            for _ in 0..100 {
                match end.exchange(&[], &mut [0; 16], Duration::ZERO)? {
                    Ok(moved) if moved.is_nothing() => {}
                    Ok(moved) => return Err(format!("moved {moved:?} from nobody")),
                    Err(error) => return Err(format!("silence gave: {error}")),
                }
            }
            Ok(())
        },
        |mut end| end.idle_until_other_done(),
    )
}

fn empty_slices_move_nothing(ends: Ends) -> Outcome {
    ends.play(
        |end| {
            // The partner has sent by then, or will: neither may show here.
            for _ in 0..3 {
                match end.exchange(&[], &mut [], Duration::from_millis(30))? {
                    Ok(moved) if moved.is_nothing() => {}
                    Ok(moved) => return Err(format!("moved {moved:?} with nothing to move")),
                    Err(error) => return Err(format!("nothing to move gave: {error}")),
                }
            }
            end.receive(b"waits")
        },
        |mut end| {
            end.send(b"waits")?;
            end.idle_until_other_done()
        },
    )
}

fn single_bytes_keep_their_order(ends: Ends) -> Outcome {
    if !ends.both(|caps| caps.lossless) {
        return Outcome::Skipped("the link does not promise `lossless`");
    }
    ends.play(
        |end| {
            bytes(500, 3)
                .iter()
                .try_for_each(|byte| end.send(&[*byte]))
                .and_then(|()| end.idle_until_other_done())
        },
        |mut end| {
            let result = end.receive(&bytes(500, 3));
            end.say_done();
            result
        },
    )
}

fn what_has_no_room_stays(ends: Ends) -> Outcome {
    if !ends.both(|caps| caps.lossless) {
        return Outcome::Skipped("the link does not promise `lossless`");
    }
    ends.play(
        |end| {
            for want in bytes(300, 5) {
                end.receive(&[want])?;
            }
            Ok(())
        },
        |mut end| {
            end.send(&bytes(300, 5))?;
            end.idle_until_other_done()
        },
    )
}

fn both_ways_at_once_all_arrives(ends: Ends) -> Outcome {
    if !ends.both(|caps| caps.lossless) {
        return Outcome::Skipped("the link does not promise `lossless`");
    }
    let affordable = |rate: u32| rate.saturating_mul(LARGE_SECONDS);
    let large = ends
        .caps()
        .rate_bytes_per_second
        .map_or(LARGE_BYTES, affordable);
    let large = usize::try_from(large.min(LARGE_BYTES)).unwrap_or_default();
    ends.play(
        move |end| {
            let mut inp = vec![0; large];
            end.transfer(&bytes(large, 7), &mut inp)?;
            end.say_done();
            end.idle_until_other_done()?;
            same(&inp, &bytes(large, 11))
        },
        move |mut end| {
            let mut inp = vec![0; large];
            end.transfer(&bytes(large, 11), &mut inp)?;
            end.say_done();
            end.idle_until_other_done()?;
            same(&inp, &bytes(large, 7))
        },
    )
}

fn a_peer_that_does_not_read(ends: Ends) -> Outcome {
    let (lossless, holds_back) = (
        ends.both(|caps| caps.lossless),
        ends.both(|caps| caps.back_pressure),
    );
    let (count, counted) = std::sync::mpsc::channel();
    ends.play(
        move |end| {
            let chunk = bytes(1024 * 1024, 13);
            let mut sent = 0_usize;
            let mut stuck = false;
            while sent < ENDLESS_BYTES && !stuck {
                let from = sent.checked_rem(chunk.len()).unwrap_or_default();
                let out = chunk.get(from..).unwrap_or_default();
                // Every call is checked against its timeout.
                let moved = end.exchange(out, &mut [], Duration::from_millis(50))?;
                let moved = moved.map_err(|error| format!("after {sent} bytes: {error}"))?;
                sent = sent.saturating_add(moved.sent);
                stuck = moved.is_nothing();
            }
            if holds_back && !stuck {
                return Err(format!(
                    "took {sent} bytes though `back_pressure` is promised"
                ));
            }
            let _ = count.send(sent);
            end.say_done();
            if lossless && holds_back {
                end.idle_until_other_done()
            } else {
                Ok(())
            }
        },
        move |mut end| {
            end.idle_until_other_done()?;
            let sent = counted.recv().unwrap_or_default();
            let result = if lossless && holds_back {
                let pattern = bytes(1024 * 1024, 13);
                let want: Vec<u8> = pattern.iter().copied().cycle().take(sent).collect();
                end.receive(&want)
            } else {
                Ok(())
            };
            end.say_done();
            result
        },
    )
}

fn drain_keeps_its_deadline(ends: Ends) -> Outcome {
    ends.play(
        |end| {
            // The partner does not read: what does not fit stays with the caller.
            end.exchange(&bytes(1000, 17), &mut [], Duration::from_millis(50))?
                .map_err(|error| format!("sending gave: {error}"))?;
            let clock = end.link().clock();
            let start = clock.now();
            let result = end.link().drain(Duration::from_millis(100));
            let took = clock.now().saturating_sub(start);
            if took > Duration::from_secs(10) {
                return Err(format!("a drain of 100 ms took {took:?}"));
            }
            match result {
                Ok(()) | Err(crate::TransportError::TimedOut { .. }) => Ok(()),
                Err(error) => Err(format!("a drain gave: {error}")),
            }
        },
        |mut end| end.idle_until_other_done(),
    )
}

fn last_bytes_then_closed(ends: Ends) -> Outcome {
    if !ends.caps().hang_up {
        return Outcome::Skipped("the link does not promise `hang_up`");
    }
    let keeps = ends.both(|caps| caps.lossless);
    ends.play(
        move |end| {
            // Both have met before one leaves: a link that listens may have to accept first.
            end.transfer(b"hello", &mut [0; 5])?;
            let read = end.receive_until_closed(&[])?;
            if keeps {
                same(&read, &bytes(1000, 19))?;
            }
            if end.link().caps().serves_next_peer {
                return match end.exchange(&[], &mut [0; 1], Duration::from_millis(30))? {
                    Ok(moved) if moved.is_nothing() => Ok(()),
                    other => Err(format!("waiting for the next peer gave {other:?}")),
                };
            }
            match end.exchange(&[], &mut [0; 1], Duration::from_millis(30))? {
                Err(error) if error.is_closed() => Ok(()),
                other => Err(format!("after `Closed` the link gave {other:?}")),
            }
        },
        |mut end| {
            end.transfer(b"hello", &mut [0; 5])?;
            end.send(&bytes(1000, 19))?;
            end.link()
                .drain(Duration::from_secs(10))
                .map_err(|error| format!("drain: {error}"))
        },
    )
}

fn sending_to_nobody_is_closed(ends: Ends) -> Outcome {
    if !ends.caps().hang_up {
        return Outcome::Skipped("the link does not promise `hang_up`");
    }
    ends.play(
        |end| {
            end.transfer(b"hello", &mut [0; 5])?;
            end.receive_until_closed(&bytes(100, 23)).map(|_| ())
        },
        |mut end| end.transfer(b"hello", &mut [0; 5]),
    )
}

/// Bytes that look different at every offset and for every seed: any value may occur.
fn bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes().first().copied().unwrap_or_default()
    })
    .take(count)
    .collect()
}
