//! Templates: texts in which placeholders stand for secrets. Every placeholder is replaced once; what a secret holds is
//! not looked at again, so one value cannot bring in another.

use std::path::Path;

use memchr::memmem;

use super::manifest::Template;
use crate::{
    error::{Error, Result},
    files::{self, ReadLimit},
    limits::Limits,
    secret::Secret,
};

/// A text and the value that it stands for; the value is absent where it could not be had.
pub(super) struct Placeholder<'a> {
    pub(super) text: &'a str,
    pub(super) name: &'a str,
    pub(super) value: Option<&'a Secret>,
}

/// The text of a template: what is written in the manifest goes before a file.
pub(super) fn text(template: &Template) -> Result<Secret> {
    if !template.content.is_empty() {
        return Ok(Secret::from(template.content.clone()));
    }
    if template.file.is_empty() {
        return Err(Error::new("template", "it has neither content nor a file"));
    }
    let limit = ReadLimit::of_file(Limits::default().file_size);
    files::read_regular(Path::new(&template.file), limit)
}

/// `text` with all placeholders replaced; of those that begin at one place the longest counts.
pub(super) fn render(text: &Secret, placeholders: &[Placeholder<'_>]) -> Result<Secret> {
    let text = text.expose();
    let mut found: Vec<(usize, &Placeholder<'_>)> = Vec::new();
    for placeholder in placeholders {
        let places = memmem::find_iter(text, placeholder.text);
        found.extend(places.map(|at| (at, placeholder)));
    }
    found.sort_by_key(|(at, placeholder)| (*at, std::cmp::Reverse(placeholder.text.len())));
    let mut rendered = Secret::with_capacity(text.len());
    let mut done = 0;
    for (at, placeholder) in found {
        if at < done {
            continue;
        }
        let value = placeholder.value.ok_or_else(|| {
            let message = format!(
                "the secret `{}`, which it uses, is not there",
                placeholder.name
            );
            Error::new("template-degraded", message)
        })?;
        rendered.push(text.get(done..at).unwrap_or_default());
        rendered.push(value.expose());
        done = at + placeholder.text.len();
    }
    rendered.push(text.get(done..).unwrap_or_default());
    Ok(rendered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_looked_at_again() {
        let secret = |text: &str| Secret::from(text.to_owned());
        let (one, other, long) = (secret("<B>"), secret("<A>"), secret("l"));
        let placeholder = |text, value| Placeholder {
            text,
            name: text,
            value,
        };
        let placeholders = [
            placeholder("<A>", Some(&one)),
            placeholder("<B>", Some(&other)),
            placeholder("<A>x", Some(&long)),
            placeholder("<C>", None),
        ];
        for (text, expected) in [
            ("", ""),
            ("none", "none"),
            ("<A><B> <D>", "<B><A> <D>"),
            ("<A>x<A>", "l<B>"),
        ] {
            let rendered = render(&secret(text), &placeholders).unwrap();
            assert_eq!(rendered.expose_str(), Some(expected));
        }
        let error = render(&secret("<C>"), &placeholders).err().unwrap();
        assert_eq!(error.code, "template-degraded");
    }
}
