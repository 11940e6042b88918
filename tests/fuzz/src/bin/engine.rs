//! Runs one target under libFuzzer: `FUZZ_TARGET` names it, the arguments are libFuzzer's.
#![no_main]
#![expect(clippy::panic, reason = "without a target there is nothing to run")]

use std::sync::LazyLock;

use fuzz::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    Target::find(&name).unwrap_or_else(|| panic!("FUZZ_TARGET names no target: `{name}`"))
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    (TARGET.run)(input);
});
