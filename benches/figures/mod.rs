//! How measurements are taken and shown, in every bench.

use std::{thread, time::Duration};

/// On how many threads the programs work.
pub(crate) fn threads() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The median of so many measurements.
pub(crate) fn median(rounds: usize, mut measure: impl FnMut() -> Duration) -> Duration {
    let mut samples: Vec<Duration> = (0..rounds).map(|_| measure()).collect();
    samples.sort();
    samples[rounds / 2]
}

/// What is measured below.
pub(crate) fn title(text: &str) {
    println!("\n{text}");
}

/// One figure, and how many times the floor it is.
pub(crate) fn row(what: &str, took: Duration, floor: Option<Duration>) {
    let factor = floor.map_or_else(String::new, |floor| {
        format!(
            "  {:>6.2} x floor",
            took.as_secs_f64() / floor.as_secs_f64()
        )
    });
    println!("  {what:<58} {:>9.2} ms{factor}", took.as_secs_f64() * 1e3);
}
