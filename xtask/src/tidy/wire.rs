//! Numbers on the wire: each is in the tables of the protocol's document, by name and number,
//! and the tables have none that the code does not.

use super::{Finding, Tree, markdown, rust};

/// The normative document.
const PROTOCOL: &str = "docs/provisioning/protocol.md";

/// The files whose enums are the numbers on the wire.
const SOURCES: &[&str] = &[
    "crates/flash/src/wire/kind.rs",
    "crates/flash/src/wire/reject.rs",
];

/// The table that must not have a number more than [`REJECT_CODES`].
const REJECT_HEADING: &str = "Reject codes";

/// The enum behind [`REJECT_HEADING`].
const REJECT_CODES: &str = "RejectCode";

/// One `Name = number,` of an enum.
#[derive(Debug, PartialEq, Eq)]
struct Constant {
    of: String,
    name: String,
    number: u64,
    line: usize,
}

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(protocol) = tree.text(PROTOCOL) else {
        return vec![Finding::whole(
            PROTOCOL,
            "is not there; it names every number on the wire",
        )];
    };
    let rows: Vec<Row> = rows(protocol).collect();
    let mut findings = Vec::new();
    let mut codes = Vec::new();
    for path in SOURCES {
        let constants = constants(path, tree.text(path).unwrap_or_default());
        if constants.is_empty() {
            findings.push(Finding::whole(path, "no enum with numbers found here"));
        }
        for constant in constants {
            if !rows.iter().any(|row| row.names(&constant)) {
                let Constant {
                    of, name, number, ..
                } = &constant;
                let message =
                    format!("{PROTOCOL} has no table row with {number} and `{of}::{name}`");
                findings.push(Finding::at(path, constant.line, message));
            }
            if constant.of == REJECT_CODES {
                codes.push(constant.number);
            }
        }
    }
    for row in rows.iter().filter(|row| row.heading == REJECT_HEADING) {
        if let Some(number) = row.first_number()
            && !codes.contains(&number)
        {
            let message = format!("reject code {number} is not in the code");
            findings.push(Finding::at(PROTOCOL, row.line, message));
        }
    }
    findings
}

/// A row of a table.
struct Row<'a> {
    line: usize,
    heading: &'a str,
    cells: Vec<&'a str>,
}

impl Row<'_> {
    fn names(&self, constant: &Constant) -> bool {
        let name = plain(&constant.name);
        self.cells
            .iter()
            .any(|cell| parse(cell) == Some(constant.number))
            && self.cells.iter().any(|cell| plain(cell).contains(&name))
    }

    fn first_number(&self) -> Option<u64> {
        self.cells.first().and_then(|cell| parse(cell))
    }
}

fn rows(text: &str) -> impl Iterator<Item = Row<'_>> {
    let mut heading = "";
    markdown::outside_fences(text).filter_map(move |(line, content)| {
        if let Some(title) = markdown::headings(content).next() {
            heading = title;
        }
        let cells = content.trim().strip_prefix('|')?.trim_end_matches('|');
        Some(Row {
            line,
            heading,
            cells: cells.split('|').map(str::trim).collect(),
        })
    })
}

/// `MessageKind::DeviceInfo`, `device_info` and `DEVICE-INFO` are one name.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// A whole cell or literal, decimal or hexadecimal.
fn parse(number: &str) -> Option<u64> {
    let digits = number.trim().trim_matches('`').replace('_', "");
    match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    }
}

fn constants(path: &str, text: &str) -> Vec<Constant> {
    let mut constants = Vec::new();
    let mut current = None;
    for (line, content) in (1..).zip(rust::lines(path, text)) {
        let code = content.code.trim();
        if let Some((_, rest)) = code.split_once("enum ") {
            current = rest.split([' ', '{']).next().map(str::to_owned);
        } else if code == "}" {
            current = None;
        } else if let (Some(of), Some((name, number))) = (&current, code.split_once(" = "))
            && let Some(number) = parse(number.trim_end_matches(','))
        {
            constants.push(Constant {
                of: of.clone(),
                name: name.to_owned(),
                number,
                line,
            });
        }
    }
    constants
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: &str = "pub enum Kind {\n/// Asks.\nHello = 1,\nDeviceInfo = 0x41, // 65\n}\n\
                         const X: u8 = 3;\n";
    const REJECTS: &str = "pub enum RejectCode {\nVersion = 1,\n}\n";
    const DOCUMENT: &str = "## Kinds\n| no. | name |\n|---|---|\n| 1 | `HELLO` |\n\
                            | `0x41` | DEVICE-INFO |\n## Reject codes\n| 1 | version | why |\n";

    fn findings(kinds: &str, rejects: &str, document: &str) -> Vec<String> {
        let [kind, reject] = SOURCES else {
            unreachable!()
        };
        let tree = Tree::of([(*kind, kinds), (*reject, rejects), (PROTOCOL, document)]);
        check(&tree).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn names_and_numbers_may_be_written_as_documents_do() {
        assert_eq!(findings(KINDS, REJECTS, DOCUMENT), [""; 0]);
    }

    #[test]
    fn a_number_that_only_the_code_has_is_found() {
        let kinds = KINDS.replace("Hello = 1", "Hello = 2");
        assert_eq!(
            findings(&kinds, REJECTS, DOCUMENT),
            [
                "crates/flash/src/wire/kind.rs:3: docs/provisioning/protocol.md has no table row \
                 with 2 and `Kind::Hello`"
            ]
        );
    }

    #[test]
    fn a_reject_code_that_only_the_document_has_is_found() {
        let document = format!("{DOCUMENT}| 9 | lost | why |\n");
        assert_eq!(
            findings(KINDS, REJECTS, &document),
            ["docs/provisioning/protocol.md:8: reject code 9 is not in the code"]
        );
    }

    #[test]
    fn enums_that_moved_away_are_missed() {
        assert_eq!(
            findings(KINDS, "", DOCUMENT.split("## Reject").next().unwrap()),
            ["crates/flash/src/wire/reject.rs: no enum with numbers found here"]
        );
    }
}
