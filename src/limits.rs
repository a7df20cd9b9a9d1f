//! Every input has a named limit (design 4.6); going over it is an error that names it and how to raise it.

/// Limits of one run; the configuration's `limits:` sets them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of one file (`file-size`).
    pub(crate) file_size: u64,
    /// Files of one repository (`files`).
    pub(crate) files: usize,
    /// Levels of mappings and lists in one document (`nesting`).
    pub(crate) nesting: usize,
    /// Scalars and comments of one file after aliases are expanded (`values`); stops alias bombs.
    pub(crate) values: usize,
}

impl Limits {
    /// Those of one YAML text.
    pub(crate) fn of_yaml(&self) -> policy::yaml::Limits {
        policy::yaml::Limits {
            nesting: self.nesting,
            nodes: self.values,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_size: 64 << 20,
            files: 100_000,
            nesting: 64,
            values: 1_000_000,
        }
    }
}
