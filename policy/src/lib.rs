//! SOPS creation rules as pure data and functions.

pub mod pattern;
mod recipient;
pub mod rules;
pub mod yaml;
