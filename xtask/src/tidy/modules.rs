//! Source files that nothing imports, and files without a noun for a name.

use std::collections::BTreeSet;

use super::{Finding, Tree, rust};

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let reached = reached(tree);
    let mut findings = Vec::new();
    for (path, _) in tree.ending(".rs") {
        if !reached.contains(path) {
            findings.push(Finding::whole(path, "no `mod` leads here"));
        }
        let names = path.trim_end_matches(".rs").split('/');
        for name in names.filter(|name| EMPTY_NAMES.contains(name)) {
            let message = format!("`{name}` is no name: put it beside its user, or find its noun");
            findings.push(Finding::whole(path, message));
        }
    }
    findings
}

/// The files that cargo or a `mod` of a reached file leads to.
fn reached(tree: &Tree) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut queue: Vec<String> = roots(tree);
    while let Some(path) = queue.pop() {
        if let Some(text) = tree.text(&path)
            && reached.insert(path.clone())
        {
            queue.extend(imports(tree, &path, text));
        }
    }
    reached
}

/// The files that cargo builds by convention, and those that a manifest names.
fn roots(tree: &Tree) -> Vec<String> {
    let mut roots = Vec::new();
    for (manifest, text) in tree.ending("Cargo.toml") {
        let folder = manifest.trim_end_matches("Cargo.toml");
        roots.extend(["src/lib.rs", "src/main.rs", "build.rs"].map(|f| format!("{folder}{f}")));
        for line in text.lines() {
            if let Some(file) = line.strip_prefix("path = ") {
                roots.push(format!("{folder}{}", file.trim_matches('"')));
            }
        }
        for targets in ["src/bin/", "tests/", "examples/", "benches/"] {
            let targets = format!("{folder}{targets}");
            roots.extend(tree.ending(".rs").map(|(path, _)| path).filter_map(|path| {
                let inside = path.strip_prefix(&targets)?;
                let is_target = match inside.split_once('/') {
                    None => true,
                    // Not a member of the workspace that lives in a folder of this name.
                    Some((_, file)) => file == "main.rs",
                };
                is_target.then(|| path.to_owned())
            }));
        }
    }
    roots
}

/// The files that `mod` and `include!` lines in the file `path` name, whether or not they exist.
fn imports(tree: &Tree, path: &str, text: &str) -> Vec<String> {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = file.trim_end_matches(".rs");
    let is_root =
        matches!(file, "mod.rs" | "lib.rs" | "main.rs") || roots(tree).contains(&path.to_owned());
    let mut nest: Vec<(usize, String)> = Vec::new();
    let mut depth: usize = 0;
    let mut named_path: Option<String> = None;
    let mut imports = Vec::new();
    for (line, raw) in rust::lines(path, text).iter().zip(text.lines()) {
        let code = line.code.trim();
        if let Some((_, rest)) = raw.split_once("include!(\"") {
            let name = rest.split('"').next().unwrap_or_default();
            imports.push(join(folder, name));
        }
        if code.starts_with("#[path") {
            named_path = raw.split('"').nth(1).map(str::to_owned);
        } else if let Some(name) = module_name(code) {
            let base = if is_root {
                folder.to_owned()
            } else {
                join(folder, stem)
            };
            let base = nest.iter().fold(base, |base, (_, name)| join(&base, name));
            if !code.ends_with(';') {
                nest.push((depth, name.to_owned()));
            } else if let Some(file) = named_path.take() {
                imports.push(join(folder, &file));
            } else {
                imports.push(join(&base, &format!("{name}.rs")));
                imports.push(join(&base, &format!("{name}/mod.rs")));
            }
        }
        for c in code.chars() {
            match c {
                '{' => depth = depth.saturating_add(1),
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        while nest.last().is_some_and(|(outside, _)| *outside >= depth) {
            nest.pop();
        }
    }
    imports
}

/// The name in `mod name;` or `mod name {`, with whatever visibility.
fn module_name(code: &str) -> Option<&str> {
    let (before, after) = code.split_once("mod ")?;
    let is_visibility = matches!(before.trim(), "" | "pub")
        || before.starts_with("pub(") && before.trim_end().ends_with(')')
        || before.trim_end().ends_with(']');
    let name = after.split([';', ' ', '{']).next()?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    (is_visibility && is_name).then_some(name)
}

fn join(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: (&str, &str) = ("crates/a/Cargo.toml", "[package]\n");

    /// The files with findings in a crate `crates/a` of these files.
    fn orphans(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().copied().chain([MANIFEST]);
        check(&Tree::of(files))
            .into_iter()
            .map(|f| f.path)
            .collect()
    }

    #[test]
    fn every_way_to_reach_a_file_counts() {
        let files = [
            (
                "crates/a/src/lib.rs",
                "pub(crate) mod b;\nmod c;\n#[path = \"odd.rs\"]\nmod d;\n#[cfg(test)] mod e;",
            ),
            ("crates/a/src/b.rs", "#[cfg(test)]\nmod tests;"),
            ("crates/a/src/b/tests.rs", ""),
            (
                "crates/a/src/c/mod.rs",
                "mod inner {\n  mod deep;\n}\nmod after;",
            ),
            ("crates/a/src/c/inner/deep.rs", ""),
            ("crates/a/src/c/after.rs", ""),
            ("crates/a/src/odd.rs", ""),
            ("crates/a/src/e.rs", "include!(\"made.rs\");"),
            ("crates/a/src/made.rs", ""),
            ("crates/a/tests/one.rs", "mod part;"),
            ("crates/a/tests/part.rs", ""),
            ("crates/a/tests/two/main.rs", "mod link;"),
            ("crates/a/tests/two/link.rs", ""),
            ("crates/a/src/bin/tool.rs", ""),
        ];
        assert_eq!(orphans(&files), [""; 0]);
    }

    #[test]
    fn a_file_that_only_a_comment_or_an_orphan_names_is_an_orphan() {
        let files = [
            (
                "crates/a/src/lib.rs",
                "// mod b;\nconst A: &str = \"mod b;\";",
            ),
            ("crates/a/src/b.rs", "mod c;"),
            ("crates/a/src/b/c.rs", ""),
        ];
        assert_eq!(
            orphans(&files),
            ["crates/a/src/b.rs", "crates/a/src/b/c.rs"]
        );
    }

    #[test]
    fn a_name_that_says_nothing_is_refused() {
        let files = [
            ("crates/a/src/lib.rs", "mod util;"),
            ("crates/a/src/util.rs", ""),
        ];
        assert_eq!(orphans(&files), ["crates/a/src/util.rs"]);
    }
}
