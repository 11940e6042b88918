/// Makes text from a device, a file or a path safe to print on one line.
///
/// Whatever could move the cursor, colour the terminal, forge a line of ours or reverse the
/// reading direction becomes U+FFFD. The length in characters stays.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| {
            if is_harmful(c) {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

/// The same, for a line of ours that has fields separated by tabs.
pub(crate) fn fields(text: &str) -> String {
    text.split('\t')
        .map(one_line)
        .collect::<Vec<_>>()
        .join("\t")
}

/// Controls, line and paragraph separators, and what changes the direction of text (UAX #9).
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        )
        || matches!(c, '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_line_stays_in_its_line() {
        assert_eq!(
            one_line("x\nflashd: verify ok"),
            "x\u{fffd}flashd: verify ok"
        );
        assert_eq!(
            one_line("\u{1b}[2J\r\u{9b}1m"),
            "\u{fffd}[2J\u{fffd}\u{fffd}1m"
        );
        assert_eq!(one_line("a\u{202e}b\u{2066}c"), "a\u{fffd}b\u{fffd}c");
        assert_eq!(one_line("grüße, 世界 ✓"), "grüße, 世界 ✓");
        assert_eq!(fields("a\tb\nc"), "a\tb\u{fffd}c");
    }
}
