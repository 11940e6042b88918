//! As much of Markdown as links and headings need.

use std::collections::BTreeMap;

/// The lines outside code blocks, from 1, with code spans emptied.
pub(super) fn prose(text: &str) -> impl Iterator<Item = (usize, String)> {
    outside_fences(text).map(|(number, line)| (number, without_spans(line)))
}

/// The lines outside code blocks, from 1.
pub(super) fn outside_fences(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let start = line.trim_start();
        let mark = ["```", "~~~"]
            .into_iter()
            .find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, None) => true,
            (None, Some(_)) => {
                fence = mark;
                false
            }
            (Some(open), mark) => {
                if mark == Some(open) {
                    fence = None;
                }
                false
            }
        }
    })
}

fn without_spans(line: &str) -> String {
    let mut prose = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('`') {
        prose.push_str(before);
        let ticks = after
            .chars()
            .take_while(|c| *c == '`')
            .count()
            .saturating_add(1);
        let after = after.trim_start_matches('`');
        let Some((_, behind)) = after.split_once("`".repeat(ticks).as_str()) else {
            prose.push('`');
            rest = after;
            continue;
        };
        prose.push_str("``");
        rest = behind;
    }
    prose.push_str(rest);
    prose
}

/// The texts of code spans outside code blocks, with their lines from 1.
pub(super) fn spans(text: &str) -> impl Iterator<Item = (usize, &str)> {
    // Spans of more than one tick are for text that has ticks itself.
    outside_fences(text)
        .filter(|(_, line)| !line.contains("``"))
        .flat_map(|(number, line)| {
            let spans = line.split('`').skip(1).step_by(2);
            spans.map(move |span| (number, span))
        })
}

/// A link's target, and its line from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) line: usize,
    pub(super) target: String,
}

/// Inline links, images and link definitions.
pub(super) fn links(text: &str) -> Vec<Link> {
    let mut links = Vec::new();
    for (line, prose) in prose(text) {
        let inline = prose.match_indices("](").filter_map(|(at, mark)| {
            let target = prose.get(at..)?.strip_prefix(mark)?;
            Some(target.split([')', ' ']).next()?.to_owned())
        });
        let definition = prose.strip_prefix('[').and_then(|rest| {
            let target = rest.split_once("]: ")?.1;
            Some(target.split_whitespace().next()?.to_owned())
        });
        let targets = inline.chain(definition).map(|target| Link {
            line,
            target: target.trim_matches(['<', '>']).to_owned(),
        });
        links.extend(targets);
    }
    links
}

/// The headings' texts, as written.
pub(super) fn headings(text: &str) -> impl Iterator<Item = &str> {
    outside_fences(text).filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        let level = line.len().saturating_sub(title.len());
        ((1..=6).contains(&level) && title.starts_with(' ')).then(|| title.trim())
    })
}

/// What a link may have behind its `#`, as forges make it from the headings.
pub(super) fn anchors(text: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = Vec::new();
    for heading in headings(text) {
        let slug = slug(heading);
        let count = seen.entry(slug.clone()).or_default();
        anchors.push(match *count {
            0 => slug,
            again => format!("{slug}-{again}"),
        });
        *count = count.saturating_add(1);
    }
    for (_, line) in outside_fences(text) {
        let explicit = line.match_indices("<a id=\"").filter_map(|(at, mark)| {
            let rest = line.get(at..)?.strip_prefix(mark)?;
            Some(rest.split('"').next()?.to_owned())
        });
        anchors.extend(explicit);
    }
    anchors
}

fn slug(heading: &str) -> String {
    // Of a link, the text counts.
    let mut text = String::new();
    let mut rest = heading;
    while let Some((before, after)) = rest.split_once("](") {
        text.push_str(before);
        rest = after.split_once(')').map_or("", |(_, behind)| behind);
    }
    text.push_str(rest);
    text.chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c if c.is_alphanumeric() => Some(c),
            _ => None,
        })
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_no_prose() {
        let text = "a `b` c\n```sh\nd\n```\n``e ` f`` g\nh ` i";
        let prose: Vec<_> = prose(text).collect();
        let want = [(1, "a `` c"), (5, "`` g"), (6, "h ` i")];
        assert_eq!(prose, want.map(|(n, s)| (n, s.to_owned())));
    }

    #[test]
    fn code_spans_are_what_stands_between_ticks() {
        let spans: Vec<_> = spans("a `b` c `d e`\n```\n`f`\n```\n`g`").collect();
        assert_eq!(spans, [(1, "b"), (1, "d e"), (5, "g")]);
    }

    #[test]
    fn a_fence_ends_with_its_own_mark() {
        let lines: Vec<usize> = outside_fences("~~~\n```\n~~~\nout")
            .map(|(n, _)| n)
            .collect();
        assert_eq!(lines, [4]);
    }

    #[test]
    fn every_kind_of_link_is_found() {
        let text = "[a](b.md) and ![c](<d.png> \"t\")\n[e]: f.md#g\n`[no](x.md)`";
        let targets: Vec<(usize, String)> = links(text)
            .into_iter()
            .map(|l| (l.line, l.target))
            .collect();
        let want = [(1, "b.md"), (1, "d.png"), (2, "f.md#g")];
        assert_eq!(targets, want.map(|(n, s)| (n, s.to_owned())));
    }

    #[test]
    fn anchors_are_those_of_the_forges() {
        let text = "# `nx flash send`: how\n## A/B & [more](x.md)\n### Limits\n### Limits\n\
                    ```\n# no\n```\n<a id=\"own\"></a>\n#no heading";
        assert_eq!(
            anchors(text),
            ["nx-flash-send-how", "ab--more", "limits", "limits-1", "own"]
        );
    }
}
