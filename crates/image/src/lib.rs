//! Deterministic OS images: layout, manifest, signature, verification.
