//! The elements of a message as a small tree, one statement's child at a time, bounded in depth and number.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::super::text::{clean, filled, line_of, shown};
use super::super::{BankFileError, LONGEST_TEXT_BYTES};

/// No message of this kind is nested deeper than half of it.
const DEEPEST: usize = 64;
/// One child of a statement may not have more elements: a batch of ten thousand payments has fewer.
const MOST_ELEMENTS: usize = 600_000;
const MOST_ATTRIBUTES: usize = 32;

/// The elements that are read; all others are walked over. Sorted.
const NAMES: &[&str] = &[
    "Acct",
    "AcctSvcrRef",
    "AddtlInf",
    "AddtlNtryInf",
    "AddtlRmtInf",
    "AddtlTxInf",
    "Agt",
    "Amt",
    "AmtDtls",
    "Bal",
    "BkToCstmrDbtCdtNtfctn",
    "BkToCstmrStmt",
    "BkTxCd",
    "BookgDt",
    "Btch",
    "Ccy",
    "Cd",
    "CdOrPrtry",
    "CdtDbtInd",
    "Cdtr",
    "CdtrAcct",
    "CdtrRefInf",
    "ChqNb",
    "Chrgs",
    "CntrValAmt",
    "CreDtTm",
    "Dbtr",
    "DbtrAcct",
    "Document",
    "Domn",
    "Dt",
    "DtTm",
    "EndToEndId",
    "FinInstnId",
    "Fmly",
    "GrpHdr",
    "IBAN",
    "Id",
    "InstdAmt",
    "InstrId",
    "LastPgInd",
    "MndtId",
    "MsgId",
    "Nb",
    "NbOfNtries",
    "NbOfTxs",
    "Nm",
    "Ntfctn",
    "NtfctnPgntn",
    "Ntry",
    "NtryDtls",
    "Othr",
    "PgNb",
    "Prtry",
    "Pty",
    "Rcrd",
    "Ref",
    "Refs",
    "RfrdDocInf",
    "RltdPties",
    "RmtInf",
    "Rsn",
    "RtrInf",
    "RvslInd",
    "SplmtryData",
    "Stmt",
    "StmtPgntn",
    "Strd",
    "Sts",
    "SubFmlyCd",
    "SubTp",
    "Sum",
    "Tp",
    "TtlAmt",
    "TtlCdtNtries",
    "TtlChrgsAndTaxAmt",
    "TtlDbtNtries",
    "TtlNetNtry",
    "TtlNetNtryAmt",
    "TtlNtries",
    "TtlNtriesPerBkTxCd",
    "TxAmt",
    "TxDtls",
    "TxId",
    "TxsSummry",
    "UltmtCdtr",
    "UltmtDbtr",
    "Ustrd",
    "ValDt",
];

/// An element with its text, its `Ccy` attribute and its children.
pub struct Node<'a> {
    name: &'static str,
    pub ccy: Option<Box<str>>,
    text: Cow<'a, str>,
    children: Vec<Node<'a>>,
}

impl<'a> Node<'a> {
    pub fn all<'n>(&'n self, name: &'n str) -> impl Iterator<Item = &'n Node<'a>> {
        self.children.iter().filter(move |child| child.name == name)
    }

    pub fn child(&self, name: &str) -> Option<&Node<'a>> {
        self.children.iter().find(|child| child.name == name)
    }

    /// A child that the schema allows once.
    pub fn one(&self, place: &str, name: &str) -> Result<Option<&Node<'a>>, BankFileError> {
        let mut found = self.children.iter().filter(|child| child.name == name);
        let first = found.next();
        if found.next().is_some() {
            return Err(BankFileError::new(place, name, "it stands there twice; expected it once"));
        }
        Ok(first)
    }

    pub fn at(&self, path: &[&str]) -> Option<&Node<'a>> {
        path.iter().try_fold(self, |node, name| node.child(name))
    }

    pub fn own_text(&self) -> Option<String> {
        filled(&self.text)
    }

    pub fn text(&self, path: &[&str]) -> Option<String> {
        self.at(path).and_then(Self::own_text)
    }

    pub fn required(&self, place: &str, name: &str) -> Result<String, BankFileError> {
        let missing = || BankFileError::new(place, name, "it is missing: the file is not complete");
        self.one(place, name)?.and_then(Self::own_text).ok_or_else(missing)
    }
}

/// What comes next on the present level.
pub enum Step {
    /// An element that is read, by its name; an empty name is one that is not known here.
    Start(&'static str),
    End,
}

/// A message while it is read from front to back.
pub struct Document<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    /// The prefix with which the message's elements are written, with its colon.
    prefix: String,
    depth: usize,
    /// The end of an element written as `<a/>` is still to be told.
    empty: bool,
}

impl<'a> Document<'a> {
    /// Reads up to the root; its namespace is the second value.
    pub fn open(text: &'a str) -> Result<(Self, String), BankFileError> {
        let text = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
        let mut reader = Reader::from_str(text);
        reader.config_mut().check_end_names = true;
        let mut document = Self { text, reader, prefix: String::new(), depth: 0, empty: false };
        loop {
            let event = document.event()?;
            let (start, empty) = match event {
                Event::Start(start) => (start, false),
                Event::Empty(start) => (start, true),
                Event::Eof => return Err(document.wrong("root", "there is none; expected Document")),
                _ => continue,
            };
            let name = start.name();
            let qualified: &str = name.as_ref();
            let (prefix, local) = qualified.rsplit_once(':').map_or(("", qualified), |(prefix, local)| (prefix, local));
            if local != "Document" {
                return Err(document.wrong("root", &format!("{} found; expected Document", shown(local))));
            }
            let declared = if prefix.is_empty() { "xmlns".to_owned() } else { format!("xmlns:{prefix}") };
            let namespace = document.attribute(&start, &declared)?.unwrap_or_default();
            document.prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}:") };
            document.empty = empty;
            document.depth = 1;
            return Ok((document, namespace.trim().to_owned()));
        }
    }

    /// The next child of the present element, or its end.
    pub fn step(&mut self) -> Result<Step, BankFileError> {
        if std::mem::take(&mut self.empty) {
            self.depth -= 1;
            return Ok(Step::End);
        }
        loop {
            let (start, empty) = match self.event()? {
                Event::Start(start) => (start, false),
                Event::Empty(start) => (start, true),
                Event::End(_) => {
                    self.depth -= 1;
                    return Ok(Step::End);
                }
                Event::Eof => return Err(self.wrong("end of file", "the document is not complete: elements are not closed")),
                Event::Text(text) if text.trim().is_empty() => continue,
                Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {
                    return Err(self.wrong("text", "text between the elements; expected elements"));
                }
                _ => continue,
            };
            self.depth += 1;
            self.empty = empty;
            return Ok(Step::Start(self.known(&start)));
        }
    }

    /// The element that the last step began, whole.
    pub fn subtree(&mut self, name: &'static str, place: &str) -> Result<Node<'a>, BankFileError> {
        let outer = self.depth;
        let mut root = Node { name, ccy: None, text: Cow::Borrowed(""), children: Vec::new() };
        let mut open: Vec<Node<'a>> = Vec::new();
        let mut elements = 0_usize;
        if std::mem::take(&mut self.empty) {
            self.depth -= 1;
            return Ok(root);
        }
        loop {
            match self.event()? {
                Event::Start(start) => open.push(self.node(&start, place, outer + open.len(), &mut elements)?),
                Event::Empty(start) => {
                    let node = self.node(&start, place, outer + open.len(), &mut elements)?;
                    if !node.name.is_empty() {
                        open.last_mut().unwrap_or(&mut root).children.push(node);
                    }
                }
                Event::End(_) => {
                    let Some(node) = open.pop() else {
                        self.depth -= 1;
                        return Ok(root);
                    };
                    if !node.name.is_empty() {
                        open.last_mut().unwrap_or(&mut root).children.push(node);
                    }
                }
                // Blanks between elements; but within a text, between two references, they belong to it.
                Event::Text(text) if text.trim().is_empty() && open.last().unwrap_or(&root).text.is_empty() => {}
                Event::Text(text) => self.append(open.last_mut().unwrap_or(&mut root), text.into_inner())?,
                Event::CData(text) => self.append(open.last_mut().unwrap_or(&mut root), text.into_inner())?,
                Event::GeneralRef(reference) => {
                    let letter = self.resolve(&reference)?;
                    self.append(open.last_mut().unwrap_or(&mut root), Cow::Owned(letter.to_string()))?;
                }
                Event::Eof => return Err(self.wrong("end of file", "the document is not complete: elements are not closed")),
                _ => {}
            }
        }
    }

    /// Nothing may come after the root.
    pub fn end(&mut self) -> Result<(), BankFileError> {
        loop {
            match self.event()? {
                Event::Eof => return Ok(()),
                Event::Text(text) if text.trim().is_empty() => {}
                Event::Comment(_) | Event::PI(_) => {}
                _ => return Err(self.wrong("end of file", "something follows the end of Document; expected nothing")),
            }
        }
    }

    fn event(&mut self) -> Result<Event<'a>, BankFileError> {
        match self.reader.read_event() {
            Ok(Event::DocType(_)) => Err(self.wrong("document type", "a DOCTYPE declaration is not allowed; expected none")),
            Ok(event) => Ok(event),
            Err(error) => Err(self.wrong("XML", &format!("it is not well-formed: {}", words(&error.to_string())))),
        }
    }

    fn node(&self, start: &BytesStart<'a>, place: &str, depth: usize, elements: &mut usize) -> Result<Node<'a>, BankFileError> {
        *elements += 1;
        if depth >= DEEPEST {
            return Err(BankFileError::new(place, "element", format!("elements are nested deeper than {DEEPEST}")));
        }
        if *elements > MOST_ELEMENTS {
            return Err(BankFileError::new(place, "element", format!("more than {MOST_ELEMENTS} elements")));
        }
        let ccy = self.attribute(start, "Ccy")?.map(String::into_boxed_str);
        Ok(Node { name: self.known(start), ccy, text: Cow::Borrowed(""), children: Vec::new() })
    }

    fn append(&self, node: &mut Node<'a>, text: Cow<'a, str>) -> Result<(), BankFileError> {
        if node.name.is_empty() {
            return Ok(());
        }
        if node.text.is_empty() {
            node.text = text;
        } else {
            node.text.to_mut().push_str(&text);
        }
        if node.text.len() > LONGEST_TEXT_BYTES {
            return Err(self.wrong(node.name, &format!("it has more than {LONGEST_TEXT_BYTES} bytes of text")));
        }
        Ok(())
    }

    fn resolve(&self, reference: &quick_xml::events::BytesRef<'_>) -> Result<char, BankFileError> {
        let unknown = || self.wrong("XML", &format!("the entity {} is not known; expected lt, gt, amp, apos, quot or a number", shown(reference)));
        if reference.is_char_ref() {
            return reference.resolve_char_ref().ok().flatten().ok_or_else(unknown);
        }
        match reference.as_ref() {
            "lt" => Ok('<'),
            "gt" => Ok('>'),
            "amp" => Ok('&'),
            "apos" => Ok('\''),
            "quot" => Ok('"'),
            _ => Err(unknown()),
        }
    }

    /// The name if it is one that is read, in the message's own namespace; otherwise an empty one.
    fn known(&self, start: &BytesStart<'_>) -> &'static str {
        let name = start.name();
        let qualified: &str = name.as_ref();
        let local = qualified.strip_prefix(self.prefix.as_str()).unwrap_or_default();
        NAMES.binary_search(&local).ok().and_then(|at| NAMES.get(at)).copied().unwrap_or_default()
    }

    fn attribute(&self, start: &BytesStart<'_>, name: &str) -> Result<Option<String>, BankFileError> {
        let mut found = None;
        // The reader's own search for repeated names takes the square of their number.
        for (at, attribute) in start.attributes().with_checks(false).enumerate() {
            let attribute = attribute.map_err(|error| self.wrong("XML", &format!("an attribute is not well-formed: {error}")))?;
            if at >= MOST_ATTRIBUTES {
                return Err(self.wrong("XML", &format!("more than {MOST_ATTRIBUTES} attributes in one element")));
            }
            if attribute.key.as_ref() == name {
                let value = attribute.normalized_value(XmlVersion::Implicit1_0);
                let value = value.map_err(|error| self.wrong(name, &format!("the attribute is not well-formed: {error}")))?;
                if found.replace(value.into_owned()).is_some() {
                    return Err(self.wrong(name, "the attribute stands there twice"));
                }
            }
        }
        Ok(found)
    }

    fn wrong(&self, field: &str, fault: &str) -> BankFileError {
        let at = usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX);
        let line = line_of(self.text.as_bytes(), at);
        BankFileError::new(format!("line {line}"), field, fault)
    }
}

/// The words of an error, whole as long as they are words: what they quote of the file may be long.
fn words(text: &str) -> String {
    const LONGEST: usize = 300;
    let text = clean(text);
    if text.chars().nth(LONGEST).is_none() { text } else { format!("{}…", text.chars().take(LONGEST).collect::<String>()) }
}

#[cfg(test)]
mod tests {
    use super::NAMES;

    #[test]
    fn names_are_sorted_for_the_search() {
        assert!(NAMES.is_sorted());
    }
}
