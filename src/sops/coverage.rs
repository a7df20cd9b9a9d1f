//! Is there anything in a document that its settings select for encryption?

use crate::{
    error::Result,
    limits::Limits,
    secret::Secret,
    sops::{
        document::Document,
        format::{self, Format, PlainValue},
        selection::{Leaf, Selection, walk},
        tree::Tree,
        value::plain_value,
    },
};

impl Document {
    /// Whether sops wrote metadata and left every value in clear, because the settings select none.
    pub(crate) fn encrypts_nothing(&self) -> Result<bool> {
        let selection = &self.metadata().selection;
        Ok(self.format() != Format::Binary
            && look(&self.parsed.tree, selection)? == Selected::Nothing)
    }
}

/// Whether encryption would change any value of a plaintext document. A file without parts is one value.
pub(crate) fn would_encrypt(
    plain: Secret,
    format: Format,
    selection: &Selection,
    limits: &Limits,
) -> Result<bool> {
    if format == Format::Binary {
        return Ok(true);
    }
    let parsed = format::read(format, plain, limits)?;
    Ok(look(&parsed.tree, selection)? == Selected::Something)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Selected {
    /// There are no values at all.
    None,
    /// There are values, and every one stays in clear.
    Nothing,
    Something,
}

/// Null and the empty text do not count: sops leaves them as they are.
fn look(tree: &Tree, selection: &Selection) -> Result<Selected> {
    let mut found = Selected::None;
    walk(tree, selection, &mut |leaf, place| {
        let Leaf::Scalar { value, .. } = leaf else {
            return Ok(());
        };
        let counts = match plain_value(value)? {
            None => false,
            Some(PlainValue::Str(text)) => !text.is_empty(),
            Some(_) => true,
        };
        if counts && place.encrypted {
            found = Selected::Something;
        } else if counts && found == Selected::None {
            found = Selected::Nothing;
        }
        Ok(())
    })?;
    Ok(found)
}
