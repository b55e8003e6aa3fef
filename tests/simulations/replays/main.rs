//! Measures by simulation how long replays take, and when another provider, or other weights of workers, are recommended.
//!
//!     cargo run --release -p paceline-pure --example replays [speed] [providers] [workers]
//!
//! `speed`: 10,000 runs of 100 steps under 50 changes. `providers`: two equal ones over 500 seeds, and Simpson's paradox
//! (one has the lower mean and is slower on every like execution). `workers`: the same for the weights of platforms. Prints one line a setting. Seeds are fixed, so that
//! figures (but times) are the same anywhere.
#![expect(clippy::print_stdout, clippy::cast_precision_loss, clippy::indexing_slicing, reason = "a measuring program")]

mod draws;
mod providers;
mod speed;

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let is_asked = |name: &str| asked.is_empty() || asked.iter().any(|one| one == name);
    for (name, measure) in
        [("speed", speed::measure as fn()), ("providers", providers::measure), ("workers", providers::measure_workers)]
    {
        if is_asked(name) {
            measure();
        }
    }
}
