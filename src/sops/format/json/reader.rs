//! The parser.

use super::METADATA;
use crate::{
    error::{Error, Position, Result},
    limits::Limits,
    secret::Secret,
    sops::tree::{Item, MetaNode, MetaValue, Node, Scalar},
};

/// Deeper nesting would need more stack than a thread has, whatever the limit says.
const DEEPEST: usize = 512;

/// The members of the root, the metadata, and the number of sites.
pub(super) fn read(text: &[u8], limits: &Limits) -> Result<(Vec<Item>, Option<MetaNode>, usize)> {
    let mut reader = Reader {
        text,
        at: 0,
        depth: 0,
        sites: 0,
        limits,
    };
    let (items, metadata) = reader.document()?;
    Ok((items, metadata, reader.sites))
}

/// A value that is all of `text`.
pub(super) fn read_value(text: &[u8], limits: &Limits) -> Result<Node> {
    let mut reader = Reader {
        text,
        at: 0,
        depth: 0,
        sites: 0,
        limits,
    };
    let node = reader.value()?;
    match reader.peek() {
        None => Ok(node),
        Some(_) => Err(reader.error("there is text after its end")),
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    sites: usize,
    limits: &'a Limits,
}

impl Reader<'_> {
    fn document(&mut self) -> Result<(Vec<Item>, Option<MetaNode>)> {
        if self.text.starts_with(b"\xef\xbb\xbf") {
            return Err(self
                .error("the file starts with a byte order mark, which JSON does not allow")
                .with_hint("save it as UTF-8 without byte order mark"));
        }
        match self.peek() {
            Some(b'{') => self.at += 1,
            None => return Err(self.error("the file is empty")),
            Some(_) => {
                return Err(self
                    .error("the file is not a JSON object")
                    .with_hint("sops needs an object at the top: {\"key\": …}"));
            }
        }
        let mut metadata = None;
        let items = self.object(&mut |reader, key, key_start| {
            if key != METADATA {
                return Ok(false);
            }
            if metadata.is_some() {
                return Err(reader.error_at(key_start, "there is a second \"sops\" object"));
            }
            let sites = reader.sites;
            let node = reader.value()?;
            reader.sites = sites;
            if !matches!(node, Node::Map(..)) {
                return Err(reader.error_at(key_start, "the value of \"sops\" is not an object"));
            }
            metadata = Some(meta_node(node, reader.text));
            Ok(true)
        })?;
        if self.peek().is_some() {
            return Err(self.error("there is text after the end of the JSON document")
                .with_hint("sops 3.13 ignores it and other versions refuse it; delete it or restore the file"));
        }
        Ok((items, metadata))
    }

    /// The members of an object whose brace was read. `take` may read the value itself; then it is no member.
    fn object(
        &mut self,
        take: &mut dyn FnMut(&mut Self, &str, usize) -> Result<bool>,
    ) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(items);
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.error("a key in double quotes is expected here"));
            }
            let start = self.at;
            let key = self.string()?;
            let key = key.expose_str().unwrap_or_default().to_owned();
            let key_span = start..self.at;
            if self.peek() != Some(b':') {
                return Err(self.error("a colon is expected here"));
            }
            self.at += 1;
            if !take(self, &key, start)? {
                let value = self.value()?;
                items.push(Item::Entry {
                    key,
                    key_span,
                    value,
                });
            }
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(items);
                }
                _ => return Err(self.error("a comma or closing brace is expected here")),
            }
        }
    }

    fn list(&mut self) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(items);
        }
        loop {
            items.push(Item::Element(self.value()?));
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(items);
                }
                _ => return Err(self.error("a comma or closing bracket is expected here")),
            }
        }
    }

    fn value(&mut self) -> Result<Node> {
        let next = self.peek();
        let start = self.at;
        if matches!(next, Some(b'{' | b'[')) {
            self.at += 1;
            self.depth += 1;
            if self.depth >= self.limits.nesting.min(DEEPEST) {
                return Err(self
                    .error(&format!(
                        "more than {} levels of nesting",
                        self.limits.nesting.min(DEEPEST)
                    ))
                    .with_hint("the limit is `nesting` in `limits` of the configuration"));
            }
            let node = if next == Some(b'{') {
                let items = self.object(&mut |_, _, _| Ok(false))?;
                Node::Map(items, start..self.at)
            } else {
                let items = self.list()?;
                Node::List(items, start..self.at)
            };
            self.depth -= 1;
            return Ok(node);
        }
        let value = match next {
            Some(b'"') => Scalar::Str(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Scalar::Bool(true))?,
            Some(b'f') => self.word("false", Scalar::Bool(false))?,
            Some(b'n') => self.word("null", Scalar::Null)?,
            _ => return Err(self.error("a value is expected here")),
        };
        let site = self.sites;
        self.sites += 1;
        if self.sites > self.limits.values {
            return Err(self
                .error(&format!("more than {} values", self.limits.values))
                .with_hint("the limit is `values` in `limits` of the configuration"));
        }
        Ok(Node::Scalar {
            site,
            value,
            span: start..self.at,
        })
    }

    fn word(&mut self, word: &str, value: Scalar) -> Result<Scalar> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.error("a value is expected here"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn number(&mut self) -> Result<Scalar> {
        let start = self.at;
        self.skip(|b| b == b'-');
        let whole = self.digits();
        let leading_zero = self.text.get(self.at - whole) == Some(&b'0') && whole > 1;
        let mut valid = self.at - start - whole <= 1 && whole > 0 && !leading_zero;
        if self.rest().first() == Some(&b'.') {
            self.at += 1;
            valid &= self.digits() > 0;
        }
        if let Some(b'e' | b'E') = self.rest().first() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.rest().first() {
                self.at += 1;
            }
            valid &= self.digits() > 0;
        }
        let text = self
            .text
            .get(start..self.at)
            .and_then(|text| std::str::from_utf8(text).ok())
            .filter(|_| valid);
        let Some(text) = text else {
            return Err(self.error_at(start, "this is not a number"));
        };
        if let Ok(value) = text.parse() {
            return Ok(Scalar::Int(value));
        }
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Scalar::Float(value)),
            _ => Err(self.error_at(start, "the number is too large")),
        }
    }

    fn digits(&mut self) -> usize {
        self.skip(|b| b.is_ascii_digit())
    }

    fn skip(&mut self, test: impl Fn(u8) -> bool) -> usize {
        let count = self.rest().iter().take_while(|&&b| test(b)).count();
        self.at += count;
        count
    }

    /// A string literal whose quote is next.
    fn string(&mut self) -> Result<Secret> {
        let start = self.at;
        self.at += 1;
        let length = self.skip(|b| !matches!(b, b'"' | b'\\' | 0..0x20));
        let mut text = Secret::with_capacity(length);
        self.push_clean(&mut text, start + 1);
        loop {
            match self.rest().first() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => self.escape(&mut text)?,
                Some(_) => {
                    return Err(self.error("a control character must be escaped in a string"));
                }
                None => {
                    return Err(self
                        .error_at(start, "the string has no end")
                        .with_hint("a quote is missing, or the file was cut short"));
                }
            }
            let start = self.at;
            self.skip(|b| !matches!(b, b'"' | b'\\' | 0..0x20));
            self.push_clean(&mut text, start);
        }
    }

    /// Appends what was read from `start`; each invalid byte becomes U+FFFD.
    fn push_clean(&self, text: &mut Secret, start: usize) {
        for chunk in self
            .text
            .get(start..self.at)
            .unwrap_or_default()
            .utf8_chunks()
        {
            text.push(chunk.valid().as_bytes());
            for _ in chunk.invalid() {
                text.push("\u{fffd}".as_bytes());
            }
        }
    }

    fn escape(&mut self, text: &mut Secret) -> Result<()> {
        let Some(&kind) = self.rest().get(1) else {
            return Err(self.error("the string has no end"));
        };
        let character = match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(text),
            _ => return Err(self.error("this escape is not known in JSON")),
        };
        self.at += 2;
        text.push(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    /// `\uXXXX`, two of them where they are a pair; half a pair is U+FFFD.
    fn unicode(&mut self, text: &mut Secret) -> Result<()> {
        let Some(first) = self.code_unit() else {
            return Err(self.error("four hexadecimal digits are expected after \\u"));
        };
        self.at += 6;
        let mut character = char::from_u32(first);
        if (0xd800..0xdc00).contains(&first)
            && let Some(second @ 0xdc00..0xe000) = self.code_unit()
        {
            self.at += 6;
            character = char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
        }
        text.push(
            character
                .unwrap_or(char::REPLACEMENT_CHARACTER)
                .encode_utf8(&mut [0; 4])
                .as_bytes(),
        );
        Ok(())
    }

    fn code_unit(&self) -> Option<u32> {
        let digits = self.rest().get(..6)?.strip_prefix(b"\\u")?;
        let digits = std::str::from_utf8(digits)
            .ok()
            .filter(|text| !text.starts_with('+'))?;
        u32::from_str_radix(digits, 16).ok()
    }

    /// The next byte that is not blank.
    fn peek(&mut self) -> Option<u8> {
        self.skip(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
        self.rest().first().copied()
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn error(&self, message: &str) -> Error {
        self.error_at(self.at, message)
    }

    fn error_at(&self, at: usize, message: &str) -> Error {
        let cut_short = at >= self.text.len() && !self.text.is_empty();
        let message = if cut_short {
            "the file ends in the middle of the JSON document"
        } else {
            message
        };
        let error = Error::new("syntax", message).with_position(Position::of(self.text, at));
        if cut_short {
            error.with_hint("it was cut short; restore it from its history")
        } else {
            error
        }
    }
}

/// The metadata, without types.
fn meta_node(node: Node, source: &[u8]) -> MetaNode {
    let (value, span) = match node {
        Node::Map(items, span) => {
            let fields = items.into_iter().filter_map(|item| match item {
                Item::Entry { key, value, .. } => Some((key, meta_node(value, source))),
                _ => None,
            });
            (MetaValue::Map(fields.collect()), span)
        }
        Node::List(items, span) => {
            let elements = items.into_iter().filter_map(|item| match item {
                Item::Element(value) => Some(meta_node(value, source)),
                _ => None,
            });
            (MetaValue::List(elements.collect()), span)
        }
        Node::Scalar {
            value: Scalar::Null,
            span,
            ..
        } => (MetaValue::Null, span),
        Node::Scalar {
            value: Scalar::Str(text),
            span,
            ..
        } => (
            MetaValue::Scalar {
                text: text.expose_str().unwrap_or_default().to_owned(),
                quoted: true,
            },
            span,
        ),
        Node::Scalar { span, .. } => {
            let text =
                String::from_utf8_lossy(source.get(span.clone()).unwrap_or_default()).into_owned();
            (
                MetaValue::Scalar {
                    text,
                    quoted: false,
                },
                span,
            )
        }
    };
    MetaNode { value, span }
}
