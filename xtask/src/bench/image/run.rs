use super::{by_size, files, tree};
use crate::{
    bench::{Bench, options::Options, programs::Programs},
    error::Result,
    parts,
    repo::Repo,
    setup::{self, Need},
};

/// Images from files and from a directory.
pub(in crate::bench) const BENCH: Bench = Bench {
    name: "image",
    summary: "nx image build and verify, beside openssl dgst, genimage and mksquashfs",
    options: &["size", "sizes", "rounds", "tree", "only"],
    run,
};

const TABLES: &[&str] = &["files", "tree", "sizes"];

const NEEDS: &[Need] = &[
    Need {
        what: "genimage",
        package: "genimage",
        purpose: "builds images from files",
    },
    Need {
        what: "mksquashfs",
        package: "squashfs-tools",
        purpose: "packs directories",
    },
    Need {
        what: "openssl",
        package: "openssl",
        purpose: "digests images",
    },
];

fn run(repo: &Repo, options: &Options) -> Result<()> {
    let rounds: usize = options.get("rounds", 5)?;
    let only = options.list("only", TABLES)?;
    setup::ensure(NEEDS)?;
    let programs = Programs::build(repo)?;
    for table in only {
        match table {
            "files" => files::run(&programs, options.get("size", 1024)?, rounds)?,
            "tree" => {
                let given: String = options.get("tree", String::new())?;
                let root = if given.is_empty() {
                    parts::ensure(repo)?;
                    repo.parts().join("rootfs")
                } else {
                    given.into()
                };
                tree::run(&programs, &root, rounds)?;
            }
            _ => {
                let sizes: String = options.get("sizes", "1,16,256,1024,4096".to_owned())?;
                by_size::run(&programs, &sizes, rounds)?;
            }
        }
    }
    Ok(())
}
