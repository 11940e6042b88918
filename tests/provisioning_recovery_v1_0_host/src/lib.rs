//! The acceptance proofs of TASK-0260: see `tests/`, one file a proof.
