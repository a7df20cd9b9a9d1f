//! `ENC[...]` in the place of plaintext, and the metadata added to every document.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use policy::yaml::{Content, Document, Style};

use crate::{
    error::{Error, Result},
    limits::Limits,
    secret::Secret,
    sops::{
        format::{PlainValue, Replacement, edit::Edits},
        tree::{Item, MetaNode, Node, Scalar, SiteId, Span, Tree},
    },
};

use super::{
    column, decrypt, line_end, line_start, metadata,
    read::{self, Place, PlaceKind, Read},
    refuse_at,
};

pub(super) fn splice(
    text: &str,
    read: &Read,
    replacements: &BTreeMap<SiteId, Replacement>,
    metadata: &[Block],
) -> Result<Secret> {
    refuse_lost_comments(text, read)?;
    // The block of the metadata can change whose comments those before it are. An empty line between may keep them
    // apart, else they go to the column where their owner shows.
    let moves = last_columns(read).into_iter().map(Some);
    let attempts = [("", None), ("\n", None)].into_iter();
    for (gap, column) in attempts.chain(moves.map(|column| ("", column))) {
        let mut edits = values(text, read, replacements)?;
        if let Some(column) = column {
            move_last_comments(text, read, column, &mut edits);
        }
        for (index, document) in read.stream.documents.iter().enumerate() {
            if let Some(block) = metadata.get(index).or(metadata.first()) {
                add(text, read, index, document, block, gap, &mut edits);
            }
        }
        let result = edits.apply(text.as_bytes())?;
        if reads_as_meant(&result, read, replacements, !metadata.is_empty()) {
            return Ok(result);
        }
    }
    Err(Error::new("not-as-meant", "the file cannot be encrypted in place: the result would not read back as what was meant")
        .with_hint("write it in block style: a key or element on each line, without aliases, and a line break at the end"))
}

/// The metadata of a document as text.
pub(super) struct Block {
    /// As an entry of a mapping in block style at column 0, line break included.
    lines: String,
    /// As an entry between braces.
    entry: String,
}

impl Block {
    /// In the layout of sops.
    pub(super) fn new(node: &MetaNode) -> Self {
        Self {
            lines: metadata::write(node, decrypt::INDENT),
            entry: format!("{}: {}", read::METADATA, metadata::write_flow(node)),
        }
    }
}

/// The metadata of every document as it is written in a file.
pub(super) fn blocks(text: &str, read: &Read) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    for document in &read.stream.documents {
        for (key, value) in read::metadata_entries(&read.stream, document) {
            let mut block = Block::new(&metadata::read(&read.stream, value)?);
            let (key, value) = (read.stream.node(key), read.stream.node(value));
            let place = line_start(text, key.outer_start())..line_end(text, value.span.end);
            let in_braces = matches!(
                read.stream.node(document.root).content,
                Content::Mapping { flow: true, .. }
            );
            let written = |span: Span| text.get(span).unwrap_or_default().to_owned();
            if in_braces {
                block.entry = written(key.outer_start()..value.span.end);
                block.lines = format!("{}\n", block.entry);
            } else if let Some(lines) = block_lines(text, read, place, key.outer_start()) {
                block.lines = lines;
            }
            blocks.push(block);
        }
    }
    Ok(blocks)
}

/// The lines at `place` as they would be at column 0. Comments that count as data are no part of the metadata.
fn block_lines(text: &str, read: &Read, place: Span, key: usize) -> Option<String> {
    let prefix = text.get(place.start..key)?;
    let has_data = read
        .places
        .iter()
        .any(|data| matches!(data.kind, PlaceKind::Comment) && place.contains(&data.span.start));
    if !prefix.trim_start_matches(' ').is_empty() || has_data {
        return None;
    }
    let mut lines = String::new();
    for line in text.get(place)?.lines() {
        match line.strip_prefix(prefix) {
            Some(line) => lines.push_str(line),
            None if line.trim().is_empty() => {}
            None => return None,
        }
        lines.push('\n');
    }
    Some(lines)
}

/// Comments that sops drops would stay readable in the encrypted file.
fn refuse_lost_comments(text: &str, read: &Read) -> Result<()> {
    let mut known: Vec<usize> = read.places.iter().map(|place| place.span.start).collect();
    known.sort_unstable();
    for comment in &read.stream.comments {
        if known.binary_search(&comment.start).is_err() && !in_metadata(read, comment.start) {
            let error = Error::new(
                "comment",
                "sops loses this comment, so it would neither be encrypted nor kept",
            )
            .with_hint("move it to a line of its own above a key or element");
            return Err(refuse_at(text, comment.start, error));
        }
    }
    Ok(())
}

fn in_metadata(read: &Read, at: usize) -> bool {
    let documents = read.stream.documents.iter();
    let mut entries = documents.flat_map(|document| read::metadata_entries(&read.stream, document));
    entries.any(|(key, value)| {
        read.stream.node(key).span.start <= at && at <= read.stream.node(value).span.end
    })
}

fn values(text: &str, read: &Read, replacements: &BTreeMap<SiteId, Replacement>) -> Result<Edits> {
    let mut edits = Edits::new();
    let mut replaced: HashMap<usize, SiteId> = HashMap::new();
    for (site, replacement) in replacements {
        let Some(place) = read.places.get(*site) else {
            return Err(Error::new(
                "internal",
                "a replacement for a value that is not there",
            ));
        };
        let Replacement::Encrypted(encrypted) = replacement else {
            return Err(Error::new("internal", "plaintext in an encrypted file"));
        };
        if place.aliased {
            return Err(decrypt::refuse_alias(text, place));
        }
        replaced.insert(place.span.start, *site);
        let line = match place.kind {
            PlaceKind::Comment => format!("#{encrypted}"),
            _ if place.flow => format!("\"{encrypted}\""),
            _ => encrypted.clone(),
        };
        match place.kind {
            PlaceKind::Comment => edits.replace(place.span.clone(), line),
            _ => {
                decrypt::replace_scalar(text, read, place, Secret::from(line), None, &mut edits);
                remove_kept_lines(text, place, &mut edits);
            }
        }
    }
    keep_clear_aliases(text, read, replacements, &replaced, &mut edits)?;
    Ok(edits)
}

/// The blank lines behind a block that keeps them are part of its value.
pub(super) fn remove_kept_lines(text: &str, place: &Place, edits: &mut Edits) {
    let PlaceKind::Scalar {
        style: Style::Literal | Style::Folded,
        ..
    } = place.kind
    else {
        return;
    };
    let end = place.span.end;
    let header = text.get(place.span.start..line_end(text, place.span.start).min(end));
    let header = header.and_then(|header| header.split('#').next());
    let rest = text.get(end..).unwrap_or_default();
    let blank = rest.len() - rest.trim_start_matches(['\n', ' ']).len();
    let lines = rest.get(..blank).and_then(|lines| lines.rfind('\n'));
    if header.is_some_and(|header| header.contains('+'))
        && let Some(last) = lines
    {
        edits.remove(end..end + last);
    }
}

/// What stays clear and was an alias of something that is encrypted now gets its own text.
fn keep_clear_aliases(
    text: &str,
    read: &Read,
    replacements: &BTreeMap<SiteId, Replacement>,
    replaced: &HashMap<usize, SiteId>,
    edits: &mut Edits,
) -> Result<()> {
    let indent = decrypt::indent(&read.stream);
    for (site, value) in scalars(&read.tree) {
        let Some(place) = read.places.get(site) else {
            continue;
        };
        if replacements.contains_key(&site) {
            continue;
        }
        match place.kind {
            PlaceKind::Scalar { .. }
                if place.aliased && replaced.contains_key(&place.span.start) =>
            {
                return Err(decrypt::refuse_alias(text, place));
            }
            PlaceKind::Alias if !place.aliased && target_replaced(read, place, replaced) => {
                let value: Option<PlainValue> = value.into();
                if let Some(value) = value {
                    decrypt::replace(text, read, place, &value, indent, edits);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn target_replaced(read: &Read, place: &Place, replaced: &HashMap<usize, SiteId>) -> bool {
    let parent = read.stream.node(place.parent);
    let mut children: Box<dyn Iterator<Item = usize>> = match &parent.content {
        Content::Mapping { entries, .. } => Box::new(entries.iter().map(|&(_, value)| value)),
        Content::Sequence { items, .. } => Box::new(items.iter().copied()),
        _ => return false,
    };
    let alias = children.find(|&child| read.stream.node(child).span == place.span);
    alias.is_some_and(|alias| replaced.contains_key(&read.stream.follow(alias).span.start))
}

fn scalars(tree: &Tree) -> Vec<(SiteId, &Scalar)> {
    let mut found = Vec::new();
    let mut open: Vec<&Item> = tree.documents.iter().flatten().collect();
    while let Some(item) = open.pop() {
        let (Item::Entry { value, .. } | Item::Element(value)) = item else {
            continue;
        };
        match value {
            Node::Map(items, _) | Node::List(items, _) => open.extend(items),
            Node::Scalar { site, value, .. } => found.push((*site, value)),
        }
    }
    found
}

/// Columns of the mappings and lists that are open at the end of the documents.
fn last_columns(read: &Read) -> BTreeSet<usize> {
    let mut columns = BTreeSet::new();
    for document in &read.stream.documents {
        let mut last = Some(document.root);
        while let Some(id) = last {
            let node = read.stream.node(id);
            last = match &node.content {
                Content::Mapping {
                    entries,
                    flow: false,
                } => entries.last().map(|&(_, value)| value),
                Content::Sequence { items, flow: false } => items.last().copied(),
                _ => break,
            };
            columns.insert(node.column - 1);
        }
    }
    columns
}

/// Moves the comments behind the last value of each document to a column.
fn move_last_comments(text: &str, read: &Read, column: usize, edits: &mut Edits) {
    for (index, document) in read.stream.documents.iter().enumerate() {
        let behind = read.stream.node(document.root).span.end..end(text, read, index);
        for comment in read
            .stream
            .comments
            .iter()
            .filter(|comment| behind.contains(&comment.start))
        {
            let line = line_start(text, comment.start);
            if line > behind.start {
                edits.replace(line..comment.start, " ".repeat(column));
            }
        }
    }
}

/// Adds the metadata as the last entry of a document.
fn add(
    text: &str,
    read: &Read,
    index: usize,
    document: &Document,
    block: &Block,
    gap: &str,
    edits: &mut Edits,
) {
    let root = read.stream.node(document.root);
    let Block {
        lines: block,
        entry,
    } = block;
    match &root.content {
        Content::Mapping {
            flow: true,
            entries,
        } if !entries.is_empty() => {
            let close = root.span.end.saturating_sub(1);
            let inner = last_token(text, read, root.span.start, close);
            let comma = if inner == Some(b',') { "" } else { "," };
            edits.replace(close..close, format!("{comma} {entry}"));
        }
        Content::Mapping { flow: false, .. } => {
            let prefix = " ".repeat(column(text, root.outer_start()));
            let at = end(text, read, index);
            let mut lines = opening(text, at).to_owned();
            lines.push_str(gap);
            for line in block.split_inclusive('\n') {
                lines.push_str(&prefix);
                lines.push_str(line);
            }
            edits.replace(at..at, lines);
        }
        // An empty document: `{}`, `null`, `~` or nothing at all.
        _ if root.span.is_empty() => {
            edits.remove(root.outer_start()..root.span.end);
            let at = end(text, read, index);
            edits.replace(at..at, format!("{}{gap}{block}", opening(text, at)));
        }
        _ => {
            let start = root.outer_start();
            let line = line_start(text, start);
            let end = line_end(text, root.span.end);
            let alone = |range| {
                text.get(range)
                    .is_some_and(|rest: &str| rest.trim().is_empty())
            };
            let next =
                end + usize::from(text.get(end..).is_some_and(|rest| rest.starts_with('\n')));
            if alone(line..start) && alone(root.span.end..end) {
                edits.replace(line..next, format!("{gap}{block}"));
            } else {
                edits.remove(start..root.span.end);
                edits.replace(next..next, format!("{}{gap}{block}", opening(text, next)));
            }
        }
    }
}

/// A line break where the text before does not end with one.
fn opening(text: &str, at: usize) -> &'static str {
    let before = text.get(..at).unwrap_or_default();
    if before.is_empty() || before.ends_with('\n') {
        ""
    } else {
        "\n"
    }
}

/// Where a document ends: before its `...`, the `---` of the next, or the end of the text.
fn end(text: &str, read: &Read, index: usize) -> usize {
    let documents = &read.stream.documents;
    let own = documents
        .get(index)
        .and_then(|document| document.end.as_ref());
    let next = documents
        .get(index + 1)
        .and_then(|document| document.start.as_ref());
    own.or(next).map_or(text.len(), |marker| marker.start)
}

/// The last byte before the closing brace that is neither blank nor comment.
fn last_token(text: &str, read: &Read, start: usize, close: usize) -> Option<u8> {
    let mut end = close;
    loop {
        let inner = text.get(start..end)?.trim_end();
        let last = start + inner.len();
        match read
            .stream
            .comments
            .iter()
            .find(|comment| comment.start < last && last <= comment.end)
        {
            Some(comment) => end = comment.start,
            None => return inner.bytes().next_back(),
        }
    }
}

/// Reads the result again: the same keys, nesting, comments and clear values, and the new texts where they belong.
fn reads_as_meant(
    result: &Secret,
    read: &Read,
    replacements: &BTreeMap<SiteId, Replacement>,
    metadata: bool,
) -> bool {
    let Some(text) = result.expose_str() else {
        return false;
    };
    let limits = Limits {
        nesting: usize::MAX,
        values: usize::MAX,
        ..Limits::default()
    };
    let Ok(again) = read::read(text, &limits) else {
        return false;
    };
    let same = |(meant, found): (&Vec<Item>, &Vec<Item>)| same_items(meant, found, replacements);
    again.metadata.is_some() == (metadata || read.metadata.is_some())
        && again.tree.documents.len() == read.tree.documents.len()
        && read
            .tree
            .documents
            .iter()
            .zip(&again.tree.documents)
            .all(same)
}

fn same_items(
    meant: &[Item],
    found: &[Item],
    replacements: &BTreeMap<SiteId, Replacement>,
) -> bool {
    meant.len() == found.len()
        && meant.iter().zip(found).all(|pair| match pair {
            (Item::Comment(meant), Item::Comment(found)) => {
                let text = found.text.expose();
                match replacements.get(&meant.site) {
                    Some(Replacement::Encrypted(encrypted)) => encrypted.as_bytes() == text,
                    _ => meant.text.expose() == text,
                }
            }
            (
                Item::Entry { key, value, .. },
                Item::Entry {
                    key: found_key,
                    value: found,
                    ..
                },
            ) => key == found_key && same_node(value, found, replacements),
            (Item::Element(value), Item::Element(found)) => same_node(value, found, replacements),
            _ => false,
        })
}

fn same_node(meant: &Node, found: &Node, replacements: &BTreeMap<SiteId, Replacement>) -> bool {
    match (meant, found) {
        (Node::Map(meant, _), Node::Map(found, _))
        | (Node::List(meant, _), Node::List(found, _)) => same_items(meant, found, replacements),
        (Node::Scalar { site, value, .. }, Node::Scalar { value: found, .. }) => {
            match (replacements.get(site), value, found) {
                (Some(Replacement::Encrypted(encrypted)), _, Scalar::Str(found)) => {
                    encrypted.as_bytes() == found.expose()
                }
                (Some(_), _, _) => false,
                (None, Scalar::Str(meant), Scalar::Str(found)) => meant.expose() == found.expose(),
                (None, Scalar::Float(meant), Scalar::Float(found)) => {
                    meant.to_bits() == found.to_bits()
                }
                (None, Scalar::Int(meant), Scalar::Int(found)) => meant == found,
                (None, Scalar::Bool(meant), Scalar::Bool(found)) => meant == found,
                (None, Scalar::Time(meant), Scalar::Time(found)) => meant == found,
                (None, Scalar::Unsupported(meant), Scalar::Unsupported(found)) => meant == found,
                (None, Scalar::Null, Scalar::Null) => true,
                _ => false,
            }
        }
        _ => false,
    }
}
