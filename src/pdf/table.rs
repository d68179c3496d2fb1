//! Tables: rows of cells in columns, with headers that are headers, repeated where a page ends.

use super::font::Weight;
use super::layout::{Align, Composer, Ink, Line, Part, Role, Run, Style};
use super::units::POINT;

/// White space above and below the text of a row.
const PADDING: i32 = 1_900;

/// A column: where it begins, how wide it is, which end is even.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) x: i32,
    pub(super) width: i32,
    pub(super) align: Align,
}

/// A cell: its text, what is noted under it, and over how many columns it goes.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) text: Vec<Run>,
    pub(super) note: Vec<Run>,
    pub(super) columns: usize,
}

impl Cell {
    /// A cell of one column.
    pub(super) fn new(text: Vec<Run>) -> Self {
        Self { text, note: Vec::new(), columns: 1 }
    }
}

/// What a row is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A header and amounts.
    Plain,
    /// Nothing but cells.
    Cells,
    /// What the rows after it have in common, over all columns.
    Group,
    /// What the rows before it come to.
    Sum,
}

/// A row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) kind: Kind,
    pub(super) cells: Vec<Cell>,
}

/// A table.
pub(super) struct Table {
    pub(super) about: String,
    pub(super) columns: Vec<Column>,
    pub(super) head: Vec<&'static str>,
    pub(super) rows: Vec<Row>,
}

const HEAD: Style = Style { weight: Weight::Regular, size: 8 * POINT, ink: Ink::Soft };

impl Table {
    /// Lays the table out below what is there.
    pub(super) fn place(&self, composer: &mut Composer<'_>, within: Option<Part>) {
        let table = composer.part(within, Role::Table(self.about.clone()));
        let head = composer.part(Some(table), Role::TableHead);
        let titles = composer.part(Some(head), Role::Row);
        let heads: Vec<Vec<Line>> = self.titles(composer, Some(titles));
        let first = self.rows.first().map_or(0, |_| 40 * POINT);
        composer.need(tallest(&heads) + first);
        composer.flow(&heads);
        composer.repeated = repeated(&heads);
        let body = composer.part(Some(table), Role::TableBody);
        let laid: Vec<Vec<Vec<Line>>> = self.rows.iter().map(|row| self.row(composer, row, body)).collect();
        for (at, (row, lines)) in self.rows.iter().zip(&laid).enumerate() {
            let next = laid.get(at + 1).map_or(0, |next| tallest(next) + 2 * PADDING);
            // A title stays with what it is of, a sum with what it is the sum of.
            let keep = row.kind == Kind::Group || self.rows.get(at + 1).is_some_and(|next| next.kind == Kind::Sum);
            composer.need(tallest(lines) + 2 * PADDING + if keep { next } else { 0 });
            let left = self.columns.first().map_or(0, |column| column.x);
            let right = self.columns.last().map_or(0, |column| column.x + column.width);
            let (thick, ink) = if row.kind == Kind::Sum { (POINT, Ink::Black) } else { (POINT / 2, Ink::Hair) };
            composer.rule(left, right - left, thick, ink);
            composer.y += PADDING;
            composer.flow(lines);
            composer.y += PADDING;
        }
        composer.repeated.clear();
    }

    fn titles(&self, composer: &mut Composer<'_>, row: Option<Part>) -> Vec<Vec<Line>> {
        let mut columns = Vec::new();
        for (column, title) in self.columns.iter().zip(&self.head) {
            let part = composer.part(row, Role::ColumnHeader);
            let runs = [Run { text: (*title).to_owned(), style: HEAD }];
            columns.push(composer.lines(&runs, column.x, column.width, column.align, Some(part)));
        }
        columns
    }

    fn row(&self, composer: &mut Composer<'_>, row: &Row, body: Part) -> Vec<Vec<Line>> {
        let part = composer.part(Some(body), Role::Row);
        let mut laid = Vec::new();
        let mut at = 0;
        for cell in &row.cells {
            let end = (at + cell.columns).clamp(at + 1, self.columns.len().max(at + 1));
            let Some((column, last)) = self.columns.get(at).zip(self.columns.get(end - 1)) else { break };
            let header = at == 0 && row.kind != Kind::Cells;
            let role = if header { Role::RowHeader(u32::try_from(end - at).unwrap_or(1)) } else { Role::Cell };
            let part = composer.part(Some(part), role);
            let width = last.x + last.width - column.x;
            at = end;
            let mut lines = composer.lines(&cell.text, column.x, width, column.align, Some(part));
            if !cell.note.is_empty() {
                // What is noted is another word than the one above it.
                if let Some(last) = lines.last_mut().and_then(|line| line.pieces.last_mut()) {
                    last.text.push(' ');
                }
                lines.extend(composer.lines(&cell.note, column.x, width, column.align, Some(part)));
            }
            laid.push(lines);
        }
        laid
    }
}

fn tallest(columns: &[Vec<Line>]) -> i32 {
    columns.iter().map(|lines| lines.iter().map(|line| line.height).sum()).max().unwrap_or(0)
}

/// A table's head once more, as decoration: it is read aloud once.
fn repeated(heads: &[Vec<Line>]) -> Vec<Line> {
    let mut line = Line::default();
    for head in heads.iter().filter_map(|lines| lines.first()) {
        line.height = line.height.max(head.height);
        line.baseline = line.baseline.max(head.baseline);
        line.pieces.extend(head.pieces.iter().cloned().map(|mut piece| {
            piece.part = None;
            piece
        }));
    }
    vec![line]
}
