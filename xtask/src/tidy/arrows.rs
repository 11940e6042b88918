//! Arrows between our crates, which point one way.

use serde_json::Value;

use super::Finding;
use crate::{
    error::{Result, XtaskError},
    repo::Repo,
};

/// Who may depend on whom. A new line here needs a decision record.
pub const ALLOWED: &[(&str, &[&str])] = &[
    ("nx-transport", &[]),
    ("nx-image", &[]),
    ("nx-reset", &[]),
    ("nx-flash", &["nx-image", "nx-transport"]),
    (
        "flashd",
        &["nx-flash", "nx-image", "nx-reset", "nx-transport"],
    ),
    ("nx", &["nx-flash", "nx-image", "nx-reset", "nx-transport"]),
];

/// Arrows that a feature switches on: without it, the crate does not know the other.
const OPTIONAL: &[(&str, &str)] = &[("nx-flash", "nx-transport")];

/// Packages below these folders stand outside: they may depend on all, and nothing on them.
const OUTSIDE: &[&str] = &["tests/", "examples/", "xtask/"];

/// What cargo says of the workspace.
pub(super) fn metadata(repo: &Repo) -> Result<Value> {
    let text = repo
        .cargo("metadata")
        .args(["--format-version", "1", "--no-deps", "--offline"])
        .read()?;
    serde_json::from_str(&text).map_err(|error| odd(error.to_string()))
}

pub(super) fn check(metadata: &Value) -> Result<Vec<Finding>> {
    let root = text(metadata, "workspace_root")?;
    let packages = list(metadata, "packages")?;
    let names: Vec<&str> = packages
        .iter()
        .map(|p| text(p, "name"))
        .collect::<Result<_>>()?;
    let mut findings = Vec::new();
    for package in packages {
        let name = text(package, "name")?;
        let path = text(package, "manifest_path")?;
        let path = path
            .strip_prefix(root)
            .unwrap_or(path)
            .trim_start_matches('/');
        if OUTSIDE.iter().any(|folder| path.starts_with(folder)) {
            continue;
        }
        let allowed = ALLOWED.iter().find(|(from, _)| *from == name);
        let Some((_, allowed)) = allowed else {
            findings.push(Finding::whole(
                path,
                format!("`{name}` has no place in the map"),
            ));
            continue;
        };
        for dependency in list(package, "dependencies")? {
            let to = text(dependency, "name")?;
            if !names.contains(&to) {
                continue;
            }
            if !allowed.contains(&to) {
                let message = format!("`{name}` may not depend on `{to}`");
                findings.push(Finding::whole(path, message));
            }
            let is_optional = dependency.get("optional") == Some(&Value::Bool(true));
            let is_for_tests = dependency.get("kind").and_then(Value::as_str) == Some("dev");
            if OPTIONAL.contains(&(name, to)) && !is_optional && !is_for_tests {
                let message = format!("`{name}` may depend on `{to}` by a feature only");
                findings.push(Finding::whole(path, message));
            }
        }
    }
    Ok(findings)
}

fn list<'a>(value: &'a Value, member: &str) -> Result<&'a Vec<Value>> {
    let list = value.get(member).and_then(Value::as_array);
    list.ok_or_else(|| odd(format!("no list `{member}`")))
}

fn text<'a>(value: &'a Value, member: &str) -> Result<&'a str> {
    let text = value.get(member).and_then(Value::as_str);
    text.ok_or_else(|| odd(format!("no text `{member}`")))
}

fn odd(detail: String) -> XtaskError {
    XtaskError::Unexpected {
        what: "`cargo metadata`".to_owned(),
        detail,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The messages for a workspace of these packages: name, folder, dependencies.
    fn messages(packages: &[(&str, &str, Value)]) -> Vec<String> {
        let packages: Vec<Value> = packages
            .iter()
            .map(|(name, folder, dependencies)| {
                json!({
                    "name": name,
                    "manifest_path": format!("/repo/{folder}/Cargo.toml"),
                    "dependencies": dependencies,
                })
            })
            .collect();
        let metadata = json!({ "workspace_root": "/repo", "packages": packages });
        let findings = check(&metadata).unwrap();
        findings.into_iter().map(|f| f.message).collect()
    }

    fn on(name: &str, optional: bool) -> Value {
        json!({ "name": name, "kind": null, "optional": optional })
    }

    #[test]
    fn arrows_on_the_map_and_from_outside_are_fine() {
        let packages = [
            (
                "nx-transport",
                "crates/transport",
                json!([on("serde", false)]),
            ),
            (
                "nx-flash",
                "crates/flash",
                json!([on("nx-transport", true)]),
            ),
            (
                "flash_matrix",
                "tests/flash_matrix",
                json!([on("nx-flash", false)]),
            ),
        ];
        assert_eq!(messages(&packages), [""; 0]);
    }

    #[test]
    fn an_arrow_that_points_back_is_found() {
        let packages = [
            (
                "nx-transport",
                "crates/transport",
                json!([on("nx-flash", true)]),
            ),
            ("nx-flash", "crates/flash", json!([])),
        ];
        assert_eq!(
            messages(&packages),
            ["`nx-transport` may not depend on `nx-flash`"]
        );
    }

    #[test]
    fn the_flash_crate_knows_links_by_a_feature_only() {
        let packages = [
            ("nx-transport", "crates/transport", json!([])),
            (
                "nx-flash",
                "crates/flash",
                json!([on("nx-transport", false)]),
            ),
        ];
        assert_eq!(
            messages(&packages),
            ["`nx-flash` may depend on `nx-transport` by a feature only"]
        );
    }

    #[test]
    fn nothing_inside_depends_on_what_stands_outside() {
        let packages = [
            ("nx", "tools/nx", json!([on("custom-driver", false)])),
            ("custom-driver", "examples/custom-driver", json!([])),
            ("stray", "crates/stray", json!([])),
        ];
        assert_eq!(
            messages(&packages),
            [
                "`nx` may not depend on `custom-driver`",
                "`stray` has no place in the map"
            ]
        );
    }
}
