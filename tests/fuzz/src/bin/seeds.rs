//! Writes the well-formed inputs and the corpus of every target to a folder of the target's
//! name, and the length of its longest input to a file beside it.
#![expect(clippy::expect_used, reason = "a chore that fails says where")]

use std::fs;
use std::path::PathBuf;

use fuzz::TARGETS;

fn main() {
    let mut folder = PathBuf::from(
        std::env::args_os()
            .nth(1)
            .expect("usage: fuzz-seeds FOLDER"),
    );
    for target in TARGETS {
        folder.push(target.name);
        fs::create_dir_all(&folder).expect("a folder for the target");
        let corpus = match target.corpus_file().exists() {
            true => target.corpus(),
            // A new target has none yet.
            false => Vec::new(),
        };
        let inputs = (target.seeds)().into_iter().chain(corpus);
        for (number, input) in inputs.enumerate() {
            fs::write(folder.join(number.to_string()), input).expect("an input is written");
        }
        folder.pop();
        let longest = folder.join(format!("{}.max", target.name));
        fs::write(longest, target.bytes_max.to_string()).expect("its longest input is written");
    }
}
