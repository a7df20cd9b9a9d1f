//! The daemon: composition only.

use std::process::ExitCode;

/// Runs `secretsd`.
pub fn main() -> ExitCode {
    ExitCode::from(2)
}
