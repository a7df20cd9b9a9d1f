//! SOPS creation rules as pure data and functions.

mod automaton;
pub mod drift;
pub mod edit;
pub mod names;
pub mod order;
pub mod pattern;
pub mod pins;
mod recipient;
pub mod rules;
pub mod suppression;
pub mod yaml;
