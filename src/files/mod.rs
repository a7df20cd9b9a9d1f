//! Files of the operating system as everything above needs them: read with a limit, judged by who could have written
//! them, replaced whole or not at all.

mod attributes;
mod held;
mod names;
mod read;
mod replace;
mod state;
mod trust;

pub(crate) use attributes::keep_attributes;
pub(crate) use held::Held;
pub(crate) use names::check_one_name;
pub(crate) use read::{ReadLimit, read_any, read_open, read_regular, read_stream};
pub(crate) use replace::{Replacing, replace, unwritable, write_output};
pub(crate) use state::state_directory;
pub(crate) use trust::{Trust, trust, trust_to_make_in};
