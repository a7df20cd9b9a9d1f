//! Where block scalars end.

use super::{Span, Style};

/// The part of a scalar token that holds its text: without the line breaks behind a block scalar.
pub(super) fn span(text: &str, style: Style, token: Span) -> Span {
    let end = token.end.min(text.len());
    if !matches!(style, Style::Literal | Style::Folded) {
        return token.start..end;
    }
    let content = text.get(token.start..end).unwrap_or_default();
    token.start..token.start + content.trim_end_matches(['\n', '\r', ' ', '\t']).len()
}

/// Takes back the line break that stands for the end of a text without one.
pub(super) fn take_back_line_break(text: &str, style: Style, token: Span, value: &mut String) {
    if !matches!(style, Style::Literal | Style::Folded) || token.end <= text.len() {
        return;
    }
    let Some((header, body)) = text
        .get(token.start..)
        .and_then(|scalar| scalar.split_once('\n'))
    else {
        value.clear(); // only a header
        return;
    };
    let header = header.split('#').next().unwrap_or_default();
    let last = body.rsplit('\n').next().unwrap_or_default();
    let takes = if header.contains('-') {
        false
    } else if header.contains('+') {
        true
    } else {
        // A last line of blanks is content where it is longer than the indentation.
        let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
        let first = body
            .lines()
            .find(|line| !line.trim_matches(' ').is_empty())
            .map_or(usize::MAX, indent);
        !last.trim_matches(' ').is_empty() || last.len() > first
    };
    if takes && value.ends_with('\n') {
        value.pop();
    }
}
