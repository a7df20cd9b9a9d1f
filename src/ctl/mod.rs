//! The operator's tool: one file per command.

use std::process::ExitCode;

/// Runs `secretsctl`.
pub fn main() -> ExitCode {
    ExitCode::from(2)
}
