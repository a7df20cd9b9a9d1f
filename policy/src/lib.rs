//! SOPS creation rules as pure data and functions.
