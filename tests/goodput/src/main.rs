//! Prints the table: `cargo run -p goodput [SEEDS] [PART OF A ROW'S NAME OR RATE]`. With `source`
//! after that, the rows with content that packs.
#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::env;

use goodput::{HEADING, cases, source_cases};

fn main() {
    let mut args = env::args().skip(1);
    let seeds = args
        .next()
        .and_then(|seeds| seeds.parse().ok())
        .unwrap_or(16);
    let wanted = args.next().unwrap_or_default();
    println!("{HEADING}");
    let cases = if args.next().as_deref() == Some("source") {
        source_cases()
    } else {
        cases()
    };
    for case in cases {
        let label = format!("{} {}", case.line.bytes_per_second, case.name);
        if label.contains(&wanted) {
            println!("{}", case.run(seeds));
        }
    }
}
