//! Compares the embeddings of two runs over the same images.
//!
//! Usage: `cosine RUN CACHE RUN CACHE`. Prints the smallest and the mean cosine of all images'
//! pairs, and the share of pairs that are equal to the last bit.

use std::path::Path;

use artifact::embeddings::Embedded;
use artifact::images::Split;
use stage::{Error, Result};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [run, cache, other_run, other_cache] = &arguments[..] else {
        return Err(Error::usage("cosine RUN CACHE RUN CACHE"));
    };
    let (mut least, mut sum, mut equal, mut count) = (1.0_f64, 0.0, 0_u32, 0_u32);
    for split in Split::ALL {
        let (rows, ours) = embeddings(run, cache, split)?;
        let (other_rows, theirs) = embeddings(other_run, other_cache, split)?;
        if rows != other_rows || ours.dim() != theirs.dim() {
            return Err(Error::data("the runs don't have the same images in the same order"));
        }
        for (ours, theirs) in ours.rows().into_iter().zip(theirs.rows()) {
            let pairs = || ours.iter().zip(theirs).map(|(&a, &b)| (f64::from(a), f64::from(b)));
            let (dot, a, b) = pairs().fold((0.0, 0.0, 0.0), |(dot, aa, bb), (a, b)| {
                (dot + a * b, aa + a * a, bb + b * b)
            });
            let cosine = dot / (a * b).sqrt();
            if cosine.is_nan() {
                return Err(Error::data("an embedding is zero or holds no numbers"));
            }
            least = cosine.min(least);
            sum += cosine;
            equal += u32::from(ours == theirs);
            count += 1;
        }
    }
    #[expect(clippy::print_stdout, reason = "the result")]
    {
        println!("{least} {} {}", sum / f64::from(count), f64::from(equal) / f64::from(count));
    }
    Ok(())
}

/// Paths and embeddings of a split.
fn embeddings(run: &str, cache: &str, split: Split) -> Result<(Vec<String>, ndarray::Array2<f32>)> {
    let embedded = Embedded::open(Path::new(run))?;
    let rows = embedded.rows(split)?;
    let matrix = embedded.matrix(&Path::new(cache).join("embeddings"), &rows)?;
    Ok((rows.into_iter().map(|row| row.path).collect(), matrix))
}
