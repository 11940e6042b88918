//! The options of a bench: `--name VALUE`.

use std::{collections::BTreeMap, str::FromStr};

use crate::error::{Result, XtaskError};

/// What was given after the bench's name.
#[derive(Debug, Default)]
pub(crate) struct Options {
    given: BTreeMap<String, String>,
}

impl Options {
    /// Reads options of which `known` are the names, without dashes.
    pub(crate) fn parse(args: &[String], known: &[&str]) -> Result<Self> {
        let mut given = BTreeMap::new();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let name = arg.strip_prefix("--").filter(|name| known.contains(name));
            let Some(name) = name else {
                let known: Vec<String> = known.iter().map(|name| format!("--{name}")).collect();
                return Err(XtaskError::Usage {
                    message: format!("no option `{arg}` here, but {}", known.join(", ")),
                });
            };
            let Some(value) = args.next() else {
                return Err(XtaskError::Usage {
                    message: format!("`{arg}` needs a value"),
                });
            };
            given.insert(name.to_owned(), value.clone());
        }
        Ok(Self { given })
    }

    /// The value of an option, or `default`.
    pub(crate) fn get<T: FromStr>(&self, name: &str, default: T) -> Result<T> {
        let Some(value) = self.given.get(name) else {
            return Ok(default);
        };
        value.parse().map_err(|_| XtaskError::Usage {
            message: format!("`--{name} {value}` is not what it should be"),
        })
    }

    /// Which of the `known` names an option lists, by commas; all when it is not given.
    pub(crate) fn list(&self, name: &str, known: &[&'static str]) -> Result<Vec<&'static str>> {
        let Some(value) = self.given.get(name) else {
            return Ok(known.to_vec());
        };
        let find = |word: &str| {
            let found = known.iter().find(|known| **known == word);
            found.copied().ok_or_else(|| XtaskError::Usage {
                message: format!("`--{name}` knows {}, but no `{word}`", known.join(", ")),
            })
        };
        value.split(',').map(find).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words, &["size", "only"])
    }

    #[test]
    fn values_have_their_type_and_their_default() {
        let options = parse("--size 12 --only b,a").unwrap();
        assert_eq!(options.get("size", 3_u64).unwrap(), 12);
        assert_eq!(options.get("seeds", 3_u64).unwrap(), 3);
        assert_eq!(options.list("only", &["a", "b", "c"]).unwrap(), ["b", "a"]);
        let all = parse("").unwrap().list("only", &["a", "b"]).unwrap();
        assert_eq!(all, ["a", "b"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let named = |line: &str| match parse(line) {
            Ok(options) => options
                .get("size", 0_u64)
                .and_then(|_| options.list("only", &["a"]))
                .unwrap_err(),
            Err(error) => error,
        };
        assert!(named("--sise 3").to_string().contains("no option `--sise`"));
        assert!(named("--size").to_string().contains("needs a value"));
        assert!(named("--size big").to_string().contains("`--size big`"));
        assert!(named("--only a,x").to_string().contains("no `x`"));
    }
}
