//! What packs is not sent at its full length: the image counts, not what goes over the line.

use goodput::source_cases;

#[test]
fn an_image_of_sources_and_zero_pages_arrives_several_times_faster_than_its_bytes_would() {
    for case in source_cases() {
        let row = case.run(4);
        assert!(row.mean() >= case.goal, "below the goal:\n{row}");
        let sent = row.sent.iter().map(|sent| sent.blocks_packed).min();
        assert!(sent.is_some_and(|packed| packed > 20), "{sent:?}");
    }
}
