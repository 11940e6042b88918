//! The golden table: a change of the algorithm that costs goodput is a failing diff.
#![allow(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::fmt::Write as _;

use goodput::{HEADING, cases};

/// The figures are means of so many seeds.
const SEEDS: u64 = 16;

#[test]
fn the_table_is_the_golden_one_and_every_goal_is_met() {
    let mut table = format!("{HEADING}\n");
    let mut missed = Vec::new();
    for case in cases() {
        let row = case.run(SEEDS);
        writeln!(table, "{row}").expect("a string takes all");
        if row.mean() < case.goal {
            missed.push(row.to_string());
        }
    }
    assert!(missed.is_empty(), "below the goal:\n{}", missed.join("\n"));
    let golden = include_str!("golden/table.txt");
    assert!(
        table == golden,
        "the table is another one; if every change is meant:\n\
         cargo run -p goodput > tests/goodput/tests/golden/table.txt\n{table}"
    );
}
