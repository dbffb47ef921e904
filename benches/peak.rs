//! Measures how many single-precision multiply-adds a second this machine can do.
//!
//! Usage: peak THREADS. Prints GFLOP/s of all threads together. Independent chains in
//! registers, no memory: no kernel can be faster. Compile with `-C target-cpu=native`.

use std::hint::black_box;
use std::time::Instant;

/// Chains of 16 lanes: enough of them to hide the latency of the instruction.
const CHAINS: usize = 12;
const LANES: usize = 16;
const STEPS: usize = 500_000;
const TRIES: usize = 100;

fn chains(factor: f32, term: f32) -> f32 {
    let mut sums = [[1.0_f32; LANES]; CHAINS];
    for _ in 0..STEPS {
        for sum in &mut sums {
            *sum = sum.map(|sum| sum.mul_add(factor, term));
        }
    }
    sums.iter().flatten().sum()
}

fn main() {
    let threads: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1);
    let operations = (2 * STEPS * CHAINS * LANES) as f64;
    // The best of many short tries: other work on the machine doesn't meet them all.
    let fastest = || {
        let tries = (0..TRIES).map(|_| {
            let start = Instant::now();
            black_box(chains(black_box(0.999), black_box(0.001)));
            start.elapsed().as_secs_f64()
        });
        tries.fold(f64::INFINITY, f64::min)
    };
    let total: f64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(fastest)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).map(|s| operations / s).sum()
    });
    println!("{:.1}", total / 1e9);
}
