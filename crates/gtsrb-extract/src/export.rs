//! `gtsrb-extract export`: a run's embeddings in one table, for other tools.

use std::path::Path;

use artifact::FileWriter;
use artifact::embeddings::{Cache, Embedded, EmbeddingWriter, Key, part_rows};
use artifact::images::Split;
use stage::{Outcome, Progress, Result, check_interrupt, embeddings_dir};

use crate::args::Args;
use crate::summary::{Exported, Summary};

/// Parts of the cache whose embeddings are held in memory together. Reading verifies each part
/// that it needs, so few large reads are better than many.
const HELD: usize = 8;

/// Writes the plain view of every picture to the Parquet file `to`.
pub fn export(args: &Args, to: &Path) -> Result<Outcome<Summary>> {
    let embedded = Embedded::open(&args.common.run_dir()?)?;
    let (view, dims) = (embedded.view()?, embedded.dims()?);
    let [train, test] = Split::ALL.map(|split| embedded.rows(split).map(|rows| (split, rows)));
    let splits = [train?, test?];
    let rows = splits.iter().map(|(_, rows)| rows.len()).sum();
    if args.common.dry_run {
        let to = to.display();
        return Ok(Outcome::Planned(format!("would write {rows} embeddings to {to}")));
    }
    let cache = Cache::open(&embeddings_dir()?, view)?;
    let progress = Progress::new("export", rows as u64);
    let mut table = EmbeddingWriter::new(FileWriter::at(to)?, embedded.classes()?, dims)?;
    for (split, rows) in &splits {
        for rows in rows.chunks(HELD * part_rows(dims)) {
            check_interrupt()?;
            let keys: Vec<Key> = rows.iter().map(|row| row.key).collect();
            table.add(*split, rows, cache.gather(&keys, dims)?)?;
            progress.inc(rows.len() as u64);
        }
    }
    table.finish()?.keep(to)?;
    Ok(Outcome::Done(Summary::Exported(Exported { file: to.to_owned(), rows, dims })))
}
