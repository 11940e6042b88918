//! The acceptance proofs of TASK-0260.
