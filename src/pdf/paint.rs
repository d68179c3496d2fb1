//! Painting: what is laid out becomes the bytes of a PDF, with its structure, checked by the library against PDF/UA-1. What that
//! standard forbids is an error here and never a file.

use std::num::{NonZeroU16, NonZeroU32};

use chrono::{Datelike, NaiveDate};
use krilla::color::rgb;
use krilla::configure::{Configuration, Validator};
use krilla::destination::XyzDestination;
use krilla::geom::{PathBuilder, Point, Rect, Size};
use krilla::metadata::{DateTime, Metadata};
use krilla::num::NormalizedF32;
use krilla::outline::{Outline, OutlineNode};
use krilla::page::PageSettings;
use krilla::paint::{Fill, FillRule, Stroke, StrokeDash};
use krilla::surface::Surface;
use krilla::tagging::{ArtifactType, ContentTag, Identifier, Node, SpanTag, TableHeaderScope, Tag, TagGroup, TagKind, TagTree};
use krilla::{Document, SerializeSettings};

use super::PdfError;
use super::font::Faces;
use super::layout::{Composed, Ink, Page, Part, Piece, Role, Shape};
use super::units::{POINT, points};

/// The language of everything that the program says.
const LANGUAGE: &str = "en";
/// So deep do parts lie within parts at most.
const DEEPEST: usize = 12;

/// What a file says of itself.
pub(super) struct About {
    pub(super) title: String,
    pub(super) author: String,
    pub(super) subject: String,
    /// The bill's own date: the same bill gives the same bytes on every day.
    pub(super) on: NaiveDate,
}

/// Writes a document.
///
/// # Errors
/// [`PdfError::Refused`] with what the standard forbids.
pub(super) fn paint(composed: &Composed, about: About, faces: &Faces) -> Result<Vec<u8>, PdfError> {
    let configuration = Configuration::new_with_validator(Validator::UA1);
    let mut document = Document::new_with(SerializeSettings { configuration, enable_tagging: true, ..SerializeSettings::default() });
    let mut leaves: Vec<Vec<Identifier>> = composed.parts.iter().map(|_| Vec::new()).collect();
    let size = Size::from_wh(points(composed.sheet.width), points(composed.sheet.height)).ok_or(PdfError::Measure)?;
    for page in &composed.pages {
        let mut begun = document.start_page_with(PageSettings::new(size));
        let mut surface = begun.surface();
        draw_page(&mut surface, page, composed.sheet.bottom(), faces, &mut leaves)?;
        surface.finish();
        begun.finish();
    }
    let mut tree = TagTree::new().with_lang(Some(LANGUAGE.to_owned()));
    for root in &composed.roots {
        tree.push(group(composed, *root, &mut leaves, DEEPEST)?);
    }
    document.set_tag_tree(tree);
    document.set_outline(outline(composed));
    document.set_metadata(metadata(about));
    document.finish().map_err(|error| PdfError::Refused(format!("{error:?}")))
}

fn metadata(about: About) -> Metadata {
    let part = |number: u32| u8::try_from(number).unwrap_or(1);
    let day = DateTime::new(u16::try_from(about.on.year()).unwrap_or(0)).month(part(about.on.month())).day(part(about.on.day()));
    Metadata::new()
        .title(about.title)
        .authors(vec![about.author])
        .description(about.subject)
        .language(LANGUAGE.to_owned())
        .creator("AquaBills".to_owned())
        .creation_date(day)
}

fn outline(composed: &Composed) -> Outline {
    let mut outline = Outline::new();
    for (_, title, page, y) in composed.outline.iter().filter(|(level, ..)| *level <= 2) {
        outline.push_child(OutlineNode::new(title.clone(), XyzDestination::new(*page, Point::from_xy(0.0, points(*y)))));
    }
    outline
}

fn draw_page(surface: &mut Surface<'_>, page: &Page, bottom: i32, faces: &Faces, leaves: &mut [Vec<Identifier>]) -> Result<(), PdfError> {
    for shape in &page.shapes {
        surface.start_tagged(ContentTag::Artifact(ArtifactType::Other));
        draw_shape(surface, shape)?;
        surface.end_tagged();
    }
    for (y, piece) in &page.pieces {
        let tag = match piece.part {
            Some(_) => ContentTag::Span(SpanTag::empty()),
            None if *y > bottom => ContentTag::Artifact(ArtifactType::Footer),
            None => ContentTag::Artifact(ArtifactType::Other),
        };
        let identifier = surface.start_tagged(tag);
        draw_piece(surface, piece, *y, faces);
        surface.end_tagged();
        if let Some(leaves) = piece.part.and_then(|part| leaves.get_mut(part)) {
            leaves.push(identifier);
        }
    }
    Ok(())
}

fn draw_piece(surface: &mut Surface<'_>, piece: &Piece, y: i32, faces: &Faces) {
    let face = faces.face(piece.style.weight);
    surface.set_stroke(None);
    surface.set_fill(Some(fill(piece.style.ink)));
    let start = Point::from_xy(points(piece.x), points(y));
    surface.draw_glyphs(start, &face.glyphs(&piece.text), face.font.clone(), &piece.text, points(piece.style.size), false);
}

fn draw_shape(surface: &mut Surface<'_>, shape: &Shape) -> Result<(), PdfError> {
    let mut path = PathBuilder::new();
    match shape {
        Shape::Box(x, y, width, height, ink) | Shape::Frame(x, y, width, height, ink) => {
            path.push_rect(Rect::from_xywh(points(*x), points(*y), points(*width), points(*height)).ok_or(PdfError::Measure)?);
            let framed = matches!(shape, Shape::Frame(..));
            surface.set_fill((!framed).then(|| fill(*ink)));
            surface.set_stroke(framed.then(|| Stroke { paint: colour(*ink).into(), width: points(POINT), ..Stroke::default() }));
        }
        Shape::Cut(x, y, width) => {
            path.move_to(points(*x), points(*y));
            path.line_to(points(x + width), points(*y));
            let dash = StrokeDash { array: vec![points(4 * POINT), points(3 * POINT)], offset: 0.0 };
            surface.set_fill(None);
            surface.set_stroke(Some(Stroke { paint: colour(Ink::Soft).into(), width: points(POINT / 2), dash: Some(dash), ..Stroke::default() }));
        }
    }
    surface.draw_path(&path.finish().ok_or(PdfError::Measure)?);
    Ok(())
}

fn fill(ink: Ink) -> Fill {
    Fill { paint: colour(ink).into(), opacity: NormalizedF32::ONE, rule: FillRule::default() }
}

fn colour(ink: Ink) -> rgb::Color {
    match ink {
        Ink::Black => rgb::Color::new(0x16, 0x1c, 0x22),
        Ink::Soft => rgb::Color::new(0x4a, 0x55, 0x5f),
        Ink::Water => rgb::Color::new(0x0b, 0x4f, 0x7d),
        Ink::Alarm => rgb::Color::new(0x9c, 0x1c, 0x1c),
        Ink::Hair => rgb::Color::new(0xb9, 0xc4, 0xcd),
        Ink::Ground => rgb::Color::new(0xee, 0xf4, 0xf8),
    }
}

/// A part of the document with all that is in it.
fn group(composed: &Composed, part: Part, leaves: &mut [Vec<Identifier>], deep: usize) -> Result<TagGroup, PdfError> {
    let structure = composed.parts.get(part).filter(|_| deep > 0).ok_or(PdfError::Measure)?;
    let mut group = TagGroup::new(tag(&structure.role));
    for leaf in leaves.get_mut(part).map(std::mem::take).unwrap_or_default() {
        group.push(leaf);
    }
    for inner in &structure.parts {
        group.push(Node::Group(self::group(composed, *inner, leaves, deep - 1)?));
    }
    Ok(group)
}

fn tag(role: &Role) -> TagKind {
    match role {
        Role::Section => Tag::Section.into(),
        Role::Heading(level, title) => Tag::Hn(NonZeroU16::new(*level).unwrap_or(NonZeroU16::MIN), Some(title.clone())).into(),
        Role::Paragraph => Tag::P.into(),
        Role::Table(summary) => Tag::Table.with_summary(Some(summary.clone())).into(),
        Role::TableHead => Tag::THead.into(),
        Role::TableBody => Tag::TBody.into(),
        Role::Row => Tag::TR.into(),
        Role::ColumnHeader => Tag::TH(TableHeaderScope::Column).into(),
        Role::RowHeader(columns) => {
            let span = NonZeroU32::new(*columns).filter(|columns| columns.get() > 1);
            Tag::TH(TableHeaderScope::Row).with_col_span(span).into()
        }
        Role::Cell => Tag::TD.into(),
    }
}
