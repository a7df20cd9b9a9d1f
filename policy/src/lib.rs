//! SOPS creation rules as pure data and functions.

pub mod pattern;
pub mod yaml;
