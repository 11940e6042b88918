//! The repository keeps the rules of `cargo xtask tidy`.

use xtask::{Repo, tidy};

#[test]
fn repository_is_tidy() -> Result<(), Box<dyn std::error::Error>> {
    let findings = tidy::findings(&Repo::find()?)?;
    let list: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(list.is_empty(), "{}", list.join("\n"));
    Ok(())
}
