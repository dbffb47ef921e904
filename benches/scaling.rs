//! Simulates machines that share an extraction over an object store: what each has to fetch and
//! to compute by the shard plan that extraction uses, and when the last one is done if some die.
//!
//! Usage: `scaling IMAGES MACHINES RATE IMAGE EMBEDDING BANDWIDTH DEATHS SEED`. `RATE` is images a
//! second of one machine, `IMAGE` and `EMBEDDING` are bytes, `BANDWIDTH` bytes a second between a
//! machine and the store, and `DEATHS` the share of machines that die once, at any moment, and
//! start again with nothing. Prints JSON.

use artifact::Hash;
use artifact::embeddings::{Shard, part_rows};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use stage::{Error, Result};

/// Keys that are drawn and divided; of more images, each stands for several.
const MOST_KEYS: u64 = 10_000_000;

/// Numbers in an embedding of the pipeline gtsrb-linear.
const DIMS: usize = 4320;

/// What a machine and its way to the store can do, and how large things are.
struct World {
    rate: f64,
    image_bytes: f64,
    embedding_bytes: f64,
    bandwidth: f64,
}

impl World {
    /// Seconds until every image is there: a machine fetches all, as its share is spread over all.
    fn fetch(&self, images: f64) -> f64 {
        images * self.image_bytes / self.bandwidth
    }

    /// Seconds to compute `share` images while the embeddings before are sent.
    fn extract(&self, share: f64) -> f64 {
        (share / self.rate).max(share * self.embedding_bytes / self.bandwidth)
    }

    /// Seconds of a machine with `share` of `images` that dies at `moment`, a share of its time.
    fn work(&self, images: f64, share: f64, moment: Option<f64>) -> f64 {
        let (fetch, extract) = (self.fetch(images), self.extract(share));
        let whole = fetch + extract;
        let Some(moment) = moment else { return whole };
        let died = moment * whole;
        // What was computed is in the store but for the part that wasn't full.
        let part = part_rows(DIMS) as f64 / self.rate;
        let kept = (((died - fetch).max(0.0) / part).floor() * part).min(extract);
        died + whole - kept
    }
}

/// How many keys each machine gets.
fn shares(keys: u64, machines: u32) -> Vec<u64> {
    let shards: Vec<Shard> = Shard::all(machines).collect();
    let mut shares = vec![0; shards.len()];
    for number in 0..keys {
        let key = Hash::of(&number.to_le_bytes());
        if let Some(of) = shards.iter().position(|shard| shard.has(&key)) {
            shares[of] += 1;
        }
    }
    shares
}

fn main() -> Result<()> {
    let arguments: Vec<f64> = std::env::args().skip(1).filter_map(|n| n.parse().ok()).collect();
    let [images, machines, rate, image_bytes, embedding_bytes, bandwidth, deaths, seed] =
        arguments[..]
    else {
        return Err(Error::usage("eight numbers are wanted; see the source"));
    };
    let world = World { rate, image_bytes, embedding_bytes, bandwidth };
    let keys = MOST_KEYS.min(images as u64);
    let scale = images / keys as f64;
    let mut random = ChaCha8Rng::seed_from_u64(seed as u64);
    let shares = shares(keys, machines as u32);
    let ends = shares.iter().map(|share| {
        let moment = random.random_bool(deaths).then(|| random.random());
        world.work(images, *share as f64 * scale, moment)
    });
    let last = ends.fold(0.0, f64::max);
    let largest = shares.iter().max().copied().unwrap_or(0) as f64 * scale;
    #[expect(clippy::print_stdout, reason = "the result")]
    {
        println!(
            "{}",
            serde_json::json!({
                "images": images,
                "machines": machines,
                "seconds": last,
                "seconds_of_computing": images / machines / rate,
                "seconds_of_fetching": world.fetch(images),
                "largest_share": largest * machines / images,
                "bytes_fetched_each": images * image_bytes,
                "bytes_of_embeddings": images * embedding_bytes,
                "parts": (images / part_rows(DIMS) as f64).ceil(),
            })
        );
    }
    Ok(())
}
