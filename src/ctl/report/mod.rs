//! How findings are written: for people, and for machines.

pub(super) mod github;
pub(super) mod human;
pub(super) mod json;
pub(super) mod sarif;
