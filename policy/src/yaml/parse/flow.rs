//! Sequences and mappings in brackets and braces.

use super::{Parser, Properties};
use crate::yaml::{Content, NodeId, YamlError, tokens::Kind};

impl Parser<'_> {
    pub(super) fn flow_sequence(&mut self, id: NodeId) -> Result<(), YamlError> {
        self.attach_head(id);
        let open = self.lexer.skip()?.start;
        let mut items = Vec::new();
        loop {
            let token = self.lexer.peek()?;
            if let Kind::FlowSequenceEnd = token.kind {
                break;
            }
            if !items.is_empty() {
                if !matches!(token.kind, Kind::FlowEntry) {
                    let message = format!(
                        "did not find expected ',' or ']' for the '[' of line {}",
                        open.line + 1
                    );
                    return Err(token.start.error(message));
                }
                self.lexer.skip()?;
            }
            let token = self.lexer.peek()?;
            let place = token.start;
            match token.kind {
                Kind::FlowSequenceEnd => break,
                Kind::Key => items.push(self.add(Properties::default(), place, Self::pair)?),
                _ => items.push(self.node(false, false)?),
            }
        }
        self.end_flow(id, Content::Sequence { items, flow: true })
    }

    /// `[key: value]`: a mapping of one entry without braces.
    fn pair(&mut self, id: NodeId) -> Result<(), YamlError> {
        self.lexer.skip()?;
        let token = self.lexer.peek()?;
        let place = token.start;
        let key = match token.kind {
            Kind::Value | Kind::FlowEntry | Kind::FlowSequenceEnd => self.missing(place)?,
            _ => self.node(false, false)?,
        };
        let value = self.flow_value()?;
        let end = self.stream.node(value).span.end;
        self.set(
            id,
            Content::Mapping {
                entries: vec![(key, value)],
                flow: true,
            },
            end,
        );
        Ok(())
    }

    pub(super) fn flow_mapping(&mut self, id: NodeId) -> Result<(), YamlError> {
        self.attach_head(id);
        let open = self.lexer.skip()?.start;
        let mut entries = Vec::new();
        loop {
            let token = self.lexer.peek()?;
            if let Kind::FlowMappingEnd = token.kind {
                break;
            }
            if !entries.is_empty() {
                if !matches!(token.kind, Kind::FlowEntry) {
                    let message = format!(
                        "did not find expected ',' or '}}' for the '{{' of line {}",
                        open.line + 1
                    );
                    return Err(token.start.error(message));
                }
                self.lexer.skip()?;
            }
            let (key, value) = match self.lexer.peek()?.kind {
                Kind::FlowMappingEnd => break,
                Kind::Key => {
                    self.lexer.skip()?;
                    let token = self.lexer.peek()?;
                    let place = token.start;
                    let key = match token.kind {
                        Kind::Value | Kind::FlowEntry | Kind::FlowMappingEnd => {
                            self.missing(place)?
                        }
                        _ => self.node(false, false)?,
                    };
                    let value = self.flow_value()?;
                    (key, value)
                }
                _ => {
                    let key = self.node(false, false)?;
                    let place = self.lexer.peek()?.start;
                    (key, self.missing(place)?)
                }
            };
            self.pass_foot(value, key);
            entries.push((key, value));
        }
        self.end_flow(
            id,
            Content::Mapping {
                entries,
                flow: true,
            },
        )
    }

    fn flow_value(&mut self) -> Result<NodeId, YamlError> {
        if let Kind::Value = self.lexer.peek()?.kind {
            self.lexer.skip()?;
            let token = self.lexer.peek()?;
            if !matches!(
                token.kind,
                Kind::FlowEntry | Kind::FlowMappingEnd | Kind::FlowSequenceEnd
            ) {
                return self.node(false, false);
            }
        }
        let place = self.lexer.peek()?.start;
        self.missing(place)
    }

    fn end_flow(&mut self, id: NodeId, content: Content) -> Result<(), YamlError> {
        self.attach_end(id);
        let end = self.lexer.skip()?.end;
        self.set(id, content, end.index);
        Ok(())
    }
}
