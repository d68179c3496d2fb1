//! YAML text to a tree that keeps lines and texts.
//!
//! Belongs here: reading the notation, refusing duplicate keys, bounds on size
//! and depth. Does not belong here: what any key means.
//!
//! Scalars stay text: whether `Yes` is a word or `1.10` a price is for the
//! reader of the value to say, never for the notation.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::error::{Place, TariffError};

/// Largest file accepted, in bytes; the largest published one is under 100 kB.
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// Most values accepted, counting what aliases repeat.
const MAX_NODES: usize = 200_000;
/// Deepest nesting accepted; published files need six.
const MAX_DEPTH: usize = 24;

/// A value and the line it starts on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub line: usize,
    pub value: Value,
}

/// A value of the notation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Nothing after the colon.
    Null,
    /// Any text, number or word.
    Scalar(String),
    /// A list.
    List(Vec<Node>),
    /// Keys in file order, each once.
    Map(Vec<Entry>),
}

/// A key of a map with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub key: String,
    pub line: usize,
    pub node: Node,
}

impl Node {
    /// The entries, when this is a map.
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The text, when this is a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a key, when this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries()?.iter().find(|entry| entry.key == key)
    }

    /// What this is, for messages.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Scalar(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    fn size(&self) -> usize {
        1 + match &self.value {
            Value::Null | Value::Scalar(_) => 0,
            Value::List(items) => items.iter().map(Self::size).sum(),
            Value::Map(entries) => entries.iter().map(|entry| entry.node.size()).sum(),
        }
    }
}

/// Reads every document of a text.
pub(crate) fn documents(text: &str) -> Result<Vec<Node>, Vec<TariffError>> {
    if text.len() > MAX_BYTES {
        let message = format!("{} bytes: expected at most {MAX_BYTES}", text.len());
        return Err(vec![TariffError::new(Place::default(), message)]);
    }
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text.trim_start_matches('\u{feff}')) {
        let (event, span) = event.map_err(|error| {
            let place = Place::line(error.marker().line());
            vec![TariffError::new(place, format!("not readable YAML: {}", error.info()))]
        })?;
        builder.take(event, span.start.line()).map_err(|error| vec![error])?;
    }
    if builder.errors.is_empty() { Ok(builder.documents) } else { Err(builder.errors) }
}

/// A collection under construction.
struct Frame {
    line: usize,
    anchor: usize,
    value: Value,
    /// A key read, its value still to come.
    key: Option<(String, usize)>,
    /// Where each key was first seen.
    seen: HashMap<String, usize>,
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    errors: Vec<TariffError>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), TariffError> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let text = text.trim();
                let plain = matches!(style, ScalarStyle::Plain);
                let empty = text.is_empty() || (plain && matches!(text, "~" | "null" | "Null"));
                let value = if empty && !self.awaits_key() { Value::Null } else { Value::Scalar(text.to_owned()) };
                self.place(Node { line, value }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.open(Value::List(Vec::new()), line, anchor),
            Event::MappingStart(anchor, _) => self.open(Value::Map(Vec::new()), line, anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(frame) => {
                    let (line, value) = (frame.line, frame.value);
                    self.place(Node { line, value }, frame.anchor)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(node) => self.place(node, 0),
                None => Err(TariffError::new(Place::line(line), "an alias of something that contains it or is not there")),
            },
            _ => Ok(()),
        }
    }

    fn awaits_key(&self) -> bool {
        self.stack.last().is_some_and(|top| matches!(top.value, Value::Map(_)) && top.key.is_none())
    }

    fn open(&mut self, value: Value, line: usize, anchor: usize) -> Result<(), TariffError> {
        if self.awaits_key() {
            let message = "a list or map as a key: expected a name";
            return Err(TariffError::new(Place::line(line), message));
        }
        if self.stack.len() >= MAX_DEPTH {
            let message = format!("nested more than {MAX_DEPTH} deep");
            return Err(TariffError::new(Place::line(line), message));
        }
        self.stack.push(Frame { line, anchor, value, key: None, seen: HashMap::new() });
        Ok(())
    }

    /// Puts a finished node where it belongs.
    fn place(&mut self, node: Node, anchor: usize) -> Result<(), TariffError> {
        self.nodes += node.size();
        if self.nodes > MAX_NODES {
            let message = format!("more than {MAX_NODES} values");
            return Err(TariffError::new(Place::line(node.line), message));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        if self.awaits_key() {
            return self.place_key(node);
        }
        match self.stack.last_mut() {
            None => self.documents.push(node),
            Some(frame) => match (&mut frame.value, frame.key.take()) {
                (Value::Map(entries), Some((key, line))) => entries.push(Entry { key, line, node }),
                (Value::List(items), _) => items.push(node),
                _ => {}
            },
        }
        Ok(())
    }

    fn place_key(&mut self, node: Node) -> Result<(), TariffError> {
        let (line, Value::Scalar(key)) = (node.line, node.value) else {
            let message = "a list or map as a key: expected a name";
            return Err(TariffError::new(Place::line(node.line), message));
        };
        let mut first = None;
        if let Some(frame) = self.stack.last_mut() {
            first = frame.seen.insert(key.clone(), line);
            frame.key = Some((key.clone(), line));
        }
        if let Some(first) = first {
            let message = format!("duplicate key `{key}`: first on line {first}");
            self.errors.push(TariffError::new(self.place_of(line), message));
        }
        Ok(())
    }

    /// The class and part that are being read, known by their depth.
    fn place_of(&self, line: usize) -> Place {
        let mut path = self.stack.iter().rev().skip(1).rev().filter_map(|frame| frame.key.as_ref().map(|(key, _)| key.clone()));
        if path.next().as_deref() != Some("rate_structure") {
            return Place::line(line);
        }
        Place { line: Some(line), class: path.next(), part: path.next() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        documents(text).unwrap().remove(0)
    }

    fn refused(text: &str) -> String {
        let errors = documents(text).unwrap_err();
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    #[test]
    fn keeps_published_quirks_as_text() {
        let node = one("---\n# note\nvalues:\n  5/8\"   : 21.80\n  1\"|1|inside_city: 57.4\n  1|1/2\": .7\n  Yes: \"a+b\"\n  12\":\n");
        let values = &node.get("values").unwrap().node;
        let texts: Vec<(&str, Option<&str>)> = values.entries().unwrap().iter().map(|entry| (entry.key.as_str(), entry.node.text())).collect();
        assert_eq!(
            texts,
            [("5/8\"", Some("21.80")), ("1\"|1|inside_city", Some("57.4")), ("1|1/2\"", Some(".7")), ("Yes", Some("a+b")), ("12\"", None),]
        );
        assert_eq!(values.get("Yes").unwrap().line, 7);
    }

    #[test]
    fn duplicate_keys_are_refused_with_the_place() {
        let text = "rate_structure:\n  HOMES:\n    service_charge:\n      values:\n        1\": 1\n        2\": 2\n        1\": 3\n    bill: 1\n    bill: 2\n";
        assert_eq!(
            refused(text),
            "line 7, class HOMES, part service_charge: duplicate key `1\"`: first on line 5\n\
             line 9, class HOMES: duplicate key `bill`: first on line 8"
        );
    }

    #[test]
    fn unreadable_text_says_the_line() {
        assert!(refused("a: 1\nb: [1, 2\n").starts_with("line "));
        assert!(refused("a: \"x\nb: 1\n").contains("not readable YAML"));
        assert!(refused("? [1]\n: 2\n").contains("expected a name"));
    }

    #[test]
    fn aliases_repeat_values_within_bounds() {
        let node = one("a: &x\n  - 1\n  - 2\nb: *x\n");
        assert_eq!(node.get("b").unwrap().node.value, node.get("a").unwrap().node.value);
        let mut bomb = String::from("a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n");
        for level in 1..10 {
            let before = level - 1;
            let row = vec![format!("*a{before}"); 10].join(",");
            bomb.push_str(&format!("a{level}: &a{level} [{row}]\n"));
        }
        assert!(refused(&bomb).contains("more than 200000 values"));
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let blocks: String = (0..40).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
        assert!(refused(&blocks).contains("nested more than 24 deep"));
        assert!(refused(&"[".repeat(100_000)).contains("line 1: not readable YAML"));
        assert!(refused(&"a".repeat(MAX_BYTES + 1)).contains("expected at most"));
    }

    #[test]
    fn several_documents() {
        assert_eq!(documents("---\na: 1\n---\nb: 2\n").unwrap().len(), 2);
        assert!(documents("").unwrap().is_empty());
    }
}
