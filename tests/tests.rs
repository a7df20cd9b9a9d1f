//! Black-box tests of the built programs, one module per feature.
