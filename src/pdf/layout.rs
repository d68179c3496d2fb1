//! Layout: texts and rows become lines on pages. It knows how wide letters are, where lines break and when a page is full; it
//! does not know what a bill is, nor how a PDF is written.

use super::font::{Faces, Weight, clean};
use super::units::POINT;

/// White space around a page.
pub(super) const MARGIN: i32 = 42 * POINT;
/// What the foot of a page takes of it.
const FOOT: i32 = 16 * POINT;

/// The paper's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sheet {
    pub(super) width: i32,
    pub(super) height: i32,
}

impl Sheet {
    /// The width between the margins.
    pub(super) fn measure(self) -> i32 {
        self.width - 2 * MARGIN
    }

    /// Where the text of a page ends.
    pub(super) fn bottom(self) -> i32 {
        self.height - MARGIN - FOOT
    }
}

/// A colour; all of them are dark enough to be read on white and as grey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Black,
    /// What is said in passing.
    Soft,
    /// The utility's.
    Water,
    /// What must not be overlooked.
    Alarm,
    /// Lines between rows.
    Hair,
    /// The ground of boxes.
    Ground,
}

/// How letters look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) weight: Weight,
    pub(super) size: i32,
    pub(super) ink: Ink,
}

/// Letters of one look.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) text: String,
    pub(super) style: Style,
}

/// Which end of a line is even.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// What a part of the document is, for whoever does not see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    Section,
    Heading(u16, String),
    Paragraph,
    /// A table, and what it is about.
    Table(String),
    TableHead,
    TableBody,
    Row,
    ColumnHeader,
    /// A row's header over so many columns.
    RowHeader(u32),
    Cell,
}

/// A part of the document, by its place in [`Composed::parts`].
pub(super) type Part = usize;

/// A part and what it is made of.
#[derive(Debug)]
pub(super) struct Structure {
    pub(super) role: Role,
    pub(super) parts: Vec<Part>,
}

/// Letters on a page. Without a part they are decoration: page numbers, headers that are repeated.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) x: i32,
    pub(super) text: String,
    pub(super) style: Style,
    pub(super) part: Option<Part>,
}

/// A line: what is on it, and how much room it takes.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    pub(super) height: i32,
    /// How far below its top the letters stand.
    pub(super) baseline: i32,
    pub(super) pieces: Vec<Piece>,
}

/// What is drawn and means nothing.
#[derive(Debug)]
pub(super) enum Shape {
    /// A filled box: left, top, width, height.
    Box(i32, i32, i32, i32, Ink),
    /// A box's outline.
    Frame(i32, i32, i32, i32, Ink),
    /// A line to cut along: left, top, width.
    Cut(i32, i32, i32),
}

/// What is on one page.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) shapes: Vec<Shape>,
    /// With the height of each baseline.
    pub(super) pieces: Vec<(i32, Piece)>,
}

/// A document that is laid out.
#[derive(Debug)]
pub(super) struct Composed {
    pub(super) sheet: Sheet,
    pub(super) pages: Vec<Page>,
    pub(super) parts: Vec<Structure>,
    /// The parts that are in no other.
    pub(super) roots: Vec<Part>,
    /// Headings with their level, page and height.
    pub(super) outline: Vec<(u16, String, usize, i32)>,
}

/// Lays a document out from its top to its end.
pub(super) struct Composer<'a> {
    pub(super) faces: &'a Faces,
    pub(super) done: Composed,
    /// How far down the page is full.
    pub(super) y: i32,
    /// What is repeated at the head of the next page.
    pub(super) repeated: Vec<Line>,
}

impl<'a> Composer<'a> {
    pub(super) fn new(faces: &'a Faces, sheet: Sheet) -> Self {
        let done = Composed { sheet, pages: vec![Page::default()], parts: Vec::new(), roots: Vec::new(), outline: Vec::new() };
        Self { faces, done, y: MARGIN, repeated: Vec::new() }
    }

    pub(super) fn sheet(&self) -> Sheet {
        self.done.sheet
    }

    /// A new part of the document.
    pub(super) fn part(&mut self, within: Option<Part>, role: Role) -> Part {
        let new = self.done.parts.len();
        self.done.parts.push(Structure { role, parts: Vec::new() });
        match within.and_then(|within| self.done.parts.get_mut(within)) {
            Some(within) => within.parts.push(new),
            None => self.done.roots.push(new),
        }
        new
    }

    /// Takes a part back that is in no other and of which nothing was placed.
    pub(super) fn withdraw(&mut self, part: Part) {
        self.done.roots.retain(|root| *root != part);
    }

    /// Draws what means nothing.
    pub(super) fn draw(&mut self, shape: Shape) {
        if let Some(page) = self.done.pages.last_mut() {
            page.shapes.push(shape);
        }
    }

    /// A rule over a width.
    pub(super) fn rule(&mut self, x: i32, width: i32, thickness: i32, ink: Ink) {
        self.draw(Shape::Box(x, self.y, width, thickness, ink));
    }

    /// Begins a new page when there is less room than this on the one that is begun.
    pub(super) fn need(&mut self, height: i32) {
        if self.y + height > self.sheet().bottom() && self.y > MARGIN {
            self.new_page();
        }
    }

    pub(super) fn new_page(&mut self) {
        self.done.pages.push(Page::default());
        self.y = MARGIN;
        let repeated = self.repeated.clone();
        for line in &repeated {
            self.place(line);
        }
    }

    /// White space, unless the page begins here.
    pub(super) fn gap(&mut self, height: i32) {
        if self.y > MARGIN {
            self.y += height;
        }
    }

    fn place(&mut self, line: &Line) {
        self.place_at(line, self.y);
        self.y += line.height;
    }

    fn place_at(&mut self, line: &Line, y: i32) {
        if let Some(page) = self.done.pages.last_mut() {
            page.pieces.extend(line.pieces.iter().map(|piece| (y + line.baseline, piece.clone())));
        }
    }

    /// Puts columns of lines beside each other. What does not fit on the page goes on at the top of the next one.
    pub(super) fn flow(&mut self, columns: &[Vec<Line>]) {
        let mut rest: Vec<&[Line]> = columns.iter().map(Vec::as_slice).collect();
        // At the top of a page there is always room for one line more, so that this comes to an end.
        let mut fresh = self.y <= MARGIN;
        loop {
            let (top, bottom) = (self.y, self.sheet().bottom());
            let mut lowest = top;
            for column in &mut rest {
                let mut y = top;
                while let Some((line, others)) = column.split_first() {
                    if y + line.height > bottom && !(fresh && y == top) {
                        break;
                    }
                    self.place_at(line, y);
                    y += line.height;
                    *column = others;
                }
                lowest = lowest.max(y);
            }
            self.y = lowest;
            if rest.iter().all(|column| column.is_empty()) {
                return;
            }
            self.new_page();
            fresh = true;
        }
    }

    /// Breaks runs into lines of a width that begin at `x`.
    pub(super) fn lines(&self, runs: &[Run], x: i32, width: i32, align: Align, part: Option<Part>) -> Vec<Line> {
        let mut lines = Vec::new();
        for paragraph in paragraphs(runs) {
            let words = self.words(&paragraph, width);
            let mut line: Vec<Word> = Vec::new();
            let mut used = 0;
            for word in words {
                let space = line.last().map_or(0, |last| self.space(last));
                if !line.is_empty() && used + space + word.width > width {
                    // The space at the end keeps the words apart for whoever reads the text and not the page.
                    lines.push(self.line(&std::mem::take(&mut line), x, width, align, part, !word.glued));
                    used = word.width;
                } else {
                    used += space + word.width;
                }
                line.push(word);
            }
            lines.push(self.line(&line, x, width, align, part, false));
        }
        lines
    }

    fn space(&self, word: &Word) -> i32 {
        word.runs.last().map_or(0, |run| self.width(" ", run.style))
    }

    /// How wide a cleaned text is.
    pub(super) fn width(&self, text: &str, style: Style) -> i32 {
        self.faces.face(style.weight).width(text, style.size)
    }

    fn line(&self, words: &[Word], x: i32, width: i32, align: Align, part: Option<Part>, goes_on: bool) -> Line {
        let mut pieces: Vec<Piece> = Vec::new();
        for (at, word) in words.iter().enumerate() {
            for (index, run) in word.runs.iter().enumerate() {
                let space = at > 0 && index == 0;
                match pieces.last_mut() {
                    Some(last) if last.style == run.style => {
                        last.text.push_str(if space { " " } else { "" });
                        last.text.push_str(&run.text);
                    }
                    Some(last) => {
                        last.text.push_str(if space { " " } else { "" });
                        pieces.push(Piece { x: 0, text: run.text.clone(), style: run.style, part });
                    }
                    None => pieces.push(Piece { x: 0, text: run.text.clone(), style: run.style, part }),
                }
            }
        }
        let total: i32 = pieces.iter().map(|piece| self.width(&piece.text, piece.style)).sum();
        let mut at = if align == Align::Right { x + width - total } else { x };
        for piece in &mut pieces {
            piece.x = at;
            at += self.width(&piece.text, piece.style);
        }
        if let (true, Some(last)) = (goes_on, pieces.last_mut()) {
            last.text.push(' ');
        }
        let size = pieces.iter().map(|piece| piece.style.size).max().unwrap_or(10 * POINT);
        Line { height: size * 27 / 20, baseline: size * 21 / 20, pieces }
    }

    /// Words with their looks; one that is wider than the line is cut.
    fn words(&self, runs: &[Run], width: i32) -> Vec<Word> {
        let mut words: Vec<Word> = Vec::new();
        let mut open = false;
        for run in runs {
            for (at, text) in clean(&run.text).split(' ').enumerate() {
                open &= at == 0;
                if text.is_empty() {
                    continue;
                }
                let piece = Run { text: text.to_owned(), style: run.style };
                let wide = self.width(text, run.style);
                match words.last_mut().filter(|_| open) {
                    Some(word) => {
                        word.runs.push(piece);
                        word.width += wide;
                    }
                    None => words.push(Word { runs: vec![piece], width: wide, glued: false }),
                }
                open = true;
            }
        }
        words.into_iter().flat_map(|word| self.cut(word, width)).collect()
    }

    fn cut(&self, word: Word, width: i32) -> Vec<Word> {
        if word.width <= width {
            return vec![word];
        }
        let mut parts: Vec<Word> = Vec::new();
        for run in word.runs {
            for letter in run.text.chars() {
                let text = letter.to_string();
                let wide = self.width(&text, run.style);
                match parts.last_mut().filter(|part| part.width + wide <= width) {
                    Some(part) => {
                        match part.runs.last_mut().filter(|last| last.style == run.style) {
                            Some(last) => last.text.push(letter),
                            None => part.runs.push(Run { text, style: run.style }),
                        }
                        part.width += wide;
                    }
                    None => parts.push(Word { runs: vec![Run { text, style: run.style }], width: wide, glued: !parts.is_empty() }),
                }
            }
        }
        parts
    }
}

/// What is not broken.
struct Word {
    runs: Vec<Run>,
    width: i32,
    /// Whether it goes on from the one before without a space.
    glued: bool,
}

/// Runs without line breaks: each break begins another paragraph.
fn paragraphs(runs: &[Run]) -> Vec<Vec<Run>> {
    let mut paragraphs = vec![Vec::new()];
    for run in runs {
        for (at, text) in run.text.split('\n').enumerate() {
            if at > 0 {
                paragraphs.push(Vec::new());
            }
            if let Some(paragraph) = paragraphs.last_mut() {
                paragraph.push(Run { text: text.to_owned(), style: run.style });
            }
        }
    }
    paragraphs
}
