//! Rust source with code, comments and literals told apart.
//!
//! No parser: just enough of the lexical grammar (The Rust Reference, "Lexical structure") that a
//! word in a string is not taken for code, nor one in code for a comment.

/// One line of a source file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// The code, without comments and without what is in string and character literals.
    pub(super) code: String,
    /// The text of comments and doc comments.
    pub(super) comment: String,
    /// Whether this is test code: in a test file, or below the file's first `#[cfg(test)]`.
    pub(super) test: bool,
}

/// Where the scanner is between two characters.
#[derive(Clone, Copy)]
enum State {
    Code,
    LineComment,
    /// With its depth: these nest.
    BlockComment(usize),
    /// With the number of `#` that end a raw one.
    Text(Option<usize>),
}

/// The lines of a file.
pub(super) fn lines(path: &str, text: &str) -> Vec<Line> {
    let mut scanner = Scanner::default();
    scanner.scan(text);
    let mut in_tests = is_test_file(path);
    for line in &mut scanner.lines {
        in_tests |= line.code.contains("#[cfg(test)]");
        line.test = in_tests;
    }
    scanner.lines
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.split('/').any(|folder| folder == "tests")
}

#[derive(Default)]
struct Scanner {
    lines: Vec<Line>,
    line: Line,
}

impl Scanner {
    fn scan(&mut self, text: &str) {
        let mut state = State::Code;
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let taken;
            (state, taken) = self.step(state, rest, c);
            rest = rest.get(taken..).unwrap_or_default();
        }
        self.lines.push(std::mem::take(&mut self.line));
    }

    /// Takes a piece off the front of `rest`; returns the next state and the piece's length.
    fn step(&mut self, state: State, rest: &str, c: char) -> (State, usize) {
        if c == '\n' {
            self.lines.push(std::mem::take(&mut self.line));
            let next = match state {
                State::LineComment => State::Code,
                other => other,
            };
            return (next, 1);
        }
        match state {
            State::Code => self.step_code(rest, c),
            State::LineComment => {
                self.line.comment.push(c);
                (state, c.len_utf8())
            }
            State::BlockComment(depth) => {
                if rest.starts_with("/*") {
                    (State::BlockComment(depth.saturating_add(1)), 2)
                } else if rest.starts_with("*/") {
                    let next = match depth.saturating_sub(1) {
                        0 => State::Code,
                        depth => State::BlockComment(depth),
                    };
                    (next, 2)
                } else {
                    self.line.comment.push(c);
                    (state, c.len_utf8())
                }
            }
            State::Text(None) => match c {
                '"' => self.end_text(1),
                '\\' if rest.starts_with("\\\n") => (state, 1),
                '\\' => (state, rest.chars().take(2).map(char::len_utf8).sum()),
                _ => (state, c.len_utf8()),
            },
            State::Text(Some(hashes)) => {
                let after = rest.strip_prefix('"').unwrap_or_default();
                if c == '"' && count_hashes(after) >= hashes {
                    self.end_text(hashes.saturating_add(1))
                } else {
                    (state, c.len_utf8())
                }
            }
        }
    }

    fn end_text(&mut self, taken: usize) -> (State, usize) {
        self.line.code.push('"');
        (State::Code, taken)
    }

    fn step_code(&mut self, rest: &str, c: char) -> (State, usize) {
        if rest.starts_with("//") {
            return (State::LineComment, 2);
        }
        if rest.starts_with("/*") {
            return (State::BlockComment(1), 2);
        }
        if c == '"' {
            self.line.code.push(c);
            return (State::Text(None), 1);
        }
        if let Some((prefix, hashes)) = self.raw_start(rest) {
            self.line.code.push('"');
            return (State::Text(Some(hashes)), prefix);
        }
        if let Some(length) = char_literal(rest) {
            self.line.code.push_str("''");
            return (State::Code, length);
        }
        self.line.code.push(c);
        (State::Code, c.len_utf8())
    }

    /// The length of `r#"` and its like at the front, and its number of hashes.
    fn raw_start(&self, rest: &str) -> Option<(usize, usize)> {
        if self
            .line
            .code
            .ends_with(|c: char| c.is_alphanumeric() || c == '_')
        {
            return None; // the end of an identifier such as `expr`
        }
        let after = ["r", "br", "cr"]
            .iter()
            .find_map(|p| rest.strip_prefix(*p))?;
        let hashes = count_hashes(after);
        after.get(hashes..)?.starts_with('"').then(|| {
            let prefix = rest.len().saturating_sub(after.len());
            (prefix.saturating_add(hashes).saturating_add(1), hashes)
        })
    }
}

fn count_hashes(text: &str) -> usize {
    text.chars().take_while(|c| *c == '#').count()
}

/// The length of the character literal at the front; `None` for a lifetime.
fn char_literal(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('\'')?;
    let length = if inner.starts_with('\\') {
        // The escaped character may itself be a quote.
        let start: usize = inner.chars().take(2).map(char::len_utf8).sum();
        start.saturating_add(inner.get(start..)?.find('\'')?)
    } else {
        let c = inner.chars().next()?;
        inner
            .get(c.len_utf8()..)?
            .starts_with('\'')
            .then_some(c.len_utf8())?
    };
    Some(length.saturating_add(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        let lines = lines("src/a.rs", text);
        lines
            .iter()
            .map(|l| l.code.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn comments(text: &str) -> String {
        lines("src/a.rs", text)
            .into_iter()
            .map(|l| l.comment)
            .collect()
    }

    #[test]
    fn literals_are_emptied() {
        assert_eq!(code(r#"f("a\"b", b"c"); g"#), r#"f("", b""); g"#);
        assert_eq!(code("f(r#\"a\"b\"#, br\"c\\\"); g"), "f(\"\", \"\"); g");
        assert_eq!(code("f(\"a\nb\"); g"), "f(\"\n\"); g");
        assert_eq!(code("f(\"a\\\n  b\"); g"), "f(\"\n\"); g");
    }

    #[test]
    fn characters_and_lifetimes_are_told_apart() {
        assert_eq!(
            code(r#"f('"', '\'', '\u{7f}', '/'); "x""#),
            r#"f('', '', '', ''); """#
        );
        assert_eq!(
            code("fn f<'a>(x: &'a str) {} // x"),
            "fn f<'a>(x: &'a str) {} "
        );
    }

    #[test]
    fn comments_are_kept_apart_and_nest() {
        assert_eq!(code("a /* b /* c */ d */ e // f \"\ng"), "a  e \ng");
        assert_eq!(comments("a /* b /* c */ d */ e // f"), " b  c  d  f");
        assert_eq!(comments("\"// no comment\" // yes"), " yes");
    }

    #[test]
    fn an_identifier_that_ends_in_r_starts_no_raw_string() {
        assert_eq!(
            code(r##"concat!(expr"a", r"b")"##),
            r#"concat!(expr"", "")"#
        );
    }

    #[test]
    fn tests_begin_at_the_attribute_or_with_the_file() {
        let flags = |path| -> Vec<bool> {
            lines(path, "a\n#[cfg(test)]\nb")
                .iter()
                .map(|l| l.test)
                .collect()
        };
        assert_eq!(flags("src/a.rs"), [false, true, true]);
        assert_eq!(flags("tests/flash_matrix/src/lib.rs"), [true; 3]);
        assert_eq!(flags("src/state/tests.rs"), [true; 3]);
    }
}
