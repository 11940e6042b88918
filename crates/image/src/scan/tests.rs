use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::reading::CHUNK_BYTES;
use super::*;
use crate::digest::Digest;
use crate::manifest::Region;
use crate::tree::RootBuilder;

/// What a reading with every lane finds.
struct Scanned {
    whole: Digest,
    segments: Vec<Digest>,
    roots: Vec<Digest>,
    stray: Option<u64>,
}

fn scan_all(
    file: &File,
    len: u64,
    regions: &[Region],
    each: &mut dyn FnMut(u64) -> io::Result<()>,
) -> io::Result<Scanned> {
    let mut segments = Segments::of(regions);
    let mut roots = Roots::of(regions, 4096);
    let mut whole = Whole::default();
    let lanes: &mut [&mut dyn Lane] = &mut [&mut whole, &mut segments, &mut roots];
    scan(file, len, regions, lanes, each)?;
    let (segments, stray) = segments.finish();
    Ok(Scanned {
        whole: whole.finish(),
        segments,
        roots: roots.finish(),
        stray,
    })
}

/// Two segments and a gap, none of them ending where a chunk does.
fn image() -> (Vec<u8>, Vec<Region>) {
    let len = 2 * CHUNK_BYTES + 12_345;
    let mut image: Vec<u8> = (0..len as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let (first, second) = (0x4_0309_u64, 0x4_1388_u64);
    image[first as usize..second as usize].fill(0);
    let regions = vec![
        Region {
            range: 0..first,
            segment: Some(0),
        },
        Region {
            range: first..second,
            segment: None,
        },
        Region {
            range: second..len as u64,
            segment: Some(1),
        },
    ];
    (image, regions)
}

fn scanned(image: &[u8], regions: &[Region]) -> Scanned {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(image, 0).unwrap();
    let mut seen = 0;
    let found = scan_all(&file, image.len() as u64, regions, &mut |done| {
        assert!(done > seen);
        seen = done;
        Ok(())
    });
    assert_eq!(seen, image.len() as u64);
    found.unwrap()
}

#[test]
fn every_stream_is_digested_as_if_alone() {
    let (image, regions) = image();
    let found = scanned(&image, &regions);
    assert_eq!(found.whole, Digest::of(&image));
    assert_eq!(found.stray, None);
    for (index, region) in regions.iter().filter(|r| r.segment.is_some()).enumerate() {
        let bytes = &image[region.range.start as usize..region.range.end as usize];
        assert_eq!(found.segments[index], Digest::of(bytes));
        let mut root = RootBuilder::new();
        for block in bytes.chunks(4096) {
            root.push(&Digest::of(block));
        }
        assert_eq!(found.roots[index], root.finish().0);
    }
}

#[test]
fn a_byte_outside_of_segments_is_found_where_it_lies() {
    let (mut image, regions) = image();
    for at in [regions[1].range.start, regions[1].range.end - 1] {
        image[at as usize] = 1;
        assert_eq!(scanned(&image, &regions).stray, Some(at));
        image[at as usize] = 0;
    }
}

#[test]
fn holes_hold_zeros_and_data_is_never_taken_for_one() {
    let file = tempfile::tempfile().unwrap();
    let len = 8 * CHUNK_BYTES as u64 + 5;
    file.set_len(len).unwrap();
    for at in [3 * CHUNK_BYTES as u64, 6 * CHUNK_BYTES as u64 - 1, len - 1] {
        file.write_all_at(b"x", at).unwrap();
    }
    let mut want = vec![0; len as usize];
    file.read_exact_at(&mut want, 0).unwrap();
    let region = Region {
        range: 0..len,
        segment: Some(0),
    };
    let found = scan_all(&file, len, &[region], &mut |_| Ok(())).unwrap();
    assert_eq!(found.whole, Digest::of(&want));
    let mut holes = Holes::of(&file);
    for chunk in 0..8 {
        let at = chunk * CHUNK_BYTES as u64;
        let hole = holes.cover(at..at + CHUNK_BYTES as u64);
        assert!(!(hole && matches!(chunk, 3 | 5)), "chunk {chunk}");
    }
}

#[test]
fn a_hole_at_the_end_is_a_hole_up_to_the_end() {
    let file = tempfile::tempfile().unwrap();
    let chunk = CHUNK_BYTES as u64;
    file.set_len(4 * chunk).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    let mut holes = Holes::of(&file);
    let found = [0, 1, 2, 3, 4].map(|at| holes.cover(at * chunk..(at + 1) * chunk));
    assert_eq!(found, [false, true, true, true, false]);
}

#[test]
fn a_file_that_ends_early_is_not_taken_for_zeros() {
    let file = tempfile::tempfile().unwrap();
    let chunk = CHUNK_BYTES as u64;
    file.set_len(2 * chunk).unwrap();
    let region = Region {
        range: 0..4 * chunk,
        segment: Some(0),
    };
    let short = scan_all(&file, 4 * chunk, &[region], &mut |_| Ok(()));
    assert_eq!(short.err().unwrap().kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn stopping_stops_every_thread() {
    let (image, regions) = image();
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&image, 0).unwrap();
    let stopped = scan_all(&file, image.len() as u64, &regions, &mut |_| {
        Err(io::Error::other("enough"))
    });
    assert_eq!(stopped.err().unwrap().to_string(), "enough");
}
