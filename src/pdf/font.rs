//! The typeface of paper: Roboto, which covers Latin, Greek and Cyrillic with all their accents. What it lacks (Chinese, emoji)
//! is shown by the replacement character; the text beneath, which is searched, copied and read aloud, keeps the true one.

use std::sync::LazyLock;

use krilla::text::{Font, GlyphId, KrillaGlyph};
use skrifa::charmap::Charmap;
use skrifa::raw::TableProvider;
use skrifa::raw::tables::hmtx::Hmtx;
use skrifa::{FontRef, MetadataProvider};
use unicode_normalization::UnicodeNormalization;

use super::units::share;

static REGULAR: &[u8] = include_bytes!("../../static/fonts/Roboto-Regular.ttf");
static BOLD: &[u8] = include_bytes!("../../static/fonts/Roboto-Bold.ttf");
static FACES: LazyLock<Option<Faces>> = LazyLock::new(|| Some(Faces { regular: Face::new(REGULAR)?, bold: Face::new(BOLD)? }));

/// What stands for a character that the typeface lacks.
const REPLACEMENT: char = '\u{fffd}';

/// How thick letters are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Regular,
    Bold,
}

/// The typeface in its two weights.
pub(super) struct Faces {
    regular: Face,
    bold: Face,
}

impl Faces {
    /// The typeface; none when its files are broken.
    pub(super) fn get() -> Option<&'static Self> {
        FACES.as_ref()
    }

    /// The characters of a text that it lacks.
    pub(super) fn lacking(&self, text: &str) -> Vec<char> {
        let has = |letter: char| self.regular.charmap.map(letter).is_some_and(|id| id.to_u32() != 0);
        clean(text).chars().filter(|letter| !has(*letter)).collect()
    }

    pub(super) fn face(&self, weight: Weight) -> &Face {
        match weight {
            Weight::Regular => &self.regular,
            Weight::Bold => &self.bold,
        }
    }
}

/// One weight.
pub(super) struct Face {
    /// As the library takes it.
    pub(super) font: Font,
    charmap: Charmap<'static>,
    widths: Hmtx<'static>,
    em: u16,
    replacement: skrifa::GlyphId,
}

impl Face {
    fn new(bytes: &'static [u8]) -> Option<Self> {
        let tables = FontRef::new(bytes).ok()?;
        let charmap = tables.charmap();
        Some(Self {
            font: Font::new(bytes.into(), 0)?,
            replacement: charmap.map(REPLACEMENT)?,
            widths: tables.hmtx().ok()?,
            em: tables.head().ok()?.units_per_em(),
            charmap,
        })
    }

    fn glyph(&self, letter: char) -> skrifa::GlyphId {
        // Glyph 0 is "not defined", which accessible files must not show.
        self.charmap.map(letter).filter(|id| id.to_u32() != 0).unwrap_or(self.replacement)
    }

    fn advance(&self, glyph: skrifa::GlyphId) -> u16 {
        self.widths.advance(glyph).unwrap_or(0)
    }

    /// How wide a cleaned text is, in thousandths of a point.
    pub(super) fn width(&self, text: &str, size: i32) -> i32 {
        let units: i64 = text.chars().map(|letter| i64::from(self.advance(self.glyph(letter)))).sum();
        i32::try_from(units * i64::from(size) / i64::from(self.em.max(1))).unwrap_or(i32::MAX)
    }

    /// The glyphs of a cleaned text, one for each character.
    pub(super) fn glyphs(&self, text: &str) -> Vec<KrillaGlyph> {
        let glyph = |(at, letter): (usize, char)| {
            let id = self.glyph(letter);
            KrillaGlyph {
                glyph_id: GlyphId::new(id.to_u32()),
                text_range: at..at + letter.len_utf8(),
                x_advance: share(self.advance(id), self.em),
                x_offset: 0.0,
                y_offset: 0.0,
                y_advance: 0.0,
                location: None,
            }
        };
        text.char_indices().map(glyph).collect()
    }
}

/// A text as it can be set: accents on their letters where Unicode has them so, every kind of space a plain one (but for those
/// that hold together), and nothing that has no shape of its own.
pub(super) fn clean(text: &str) -> String {
    let shaped = |letter: char| match letter {
        '\u{a0}' => Some(letter),
        _ if letter.is_whitespace() => Some(' '),
        _ if is_shapeless(letter) => None,
        _ => Some(letter),
    };
    text.nfc().filter_map(shaped).collect()
}

/// Characters that only steer others, and those that Unicode keeps free for ever.
fn is_shapeless(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(letter, '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fdd0}'..='\u{fdef}' | '\u{e0000}'..='\u{e0fff}')
        || u32::from(letter) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_made_to_be_set() {
        assert_eq!(clean("a\tb\r\u{200d}c\u{a0}d\u{feff}\u{0}\u{fffe}\u{1ffff}"), "a b c\u{a0}d");
        assert_eq!(clean("e\u{301}"), "é");
    }

    #[test]
    fn everything_has_a_glyph_and_figures_are_equally_wide() {
        let faces = Faces::get().unwrap();
        for weight in [Weight::Regular, Weight::Bold] {
            let face = faces.face(weight);
            for text in ["Zażółć gęślą jaźń Ärger ñandú", "Ελληνικά", "Київ", "−×…—·²³€£$\u{a0}\u{fffd}"] {
                assert!(text.chars().all(|letter| face.charmap.map(letter).is_some_and(|id| id.to_u32() != 0)), "{text}");
            }
            assert_eq!(face.glyph('水'), face.replacement);
            let figures: Vec<i32> = ('0'..='9').map(|figure| face.width(&figure.to_string(), 10_000)).collect();
            assert!(figures.windows(2).all(|two| two[0] == two[1]), "{figures:?}");
        }
    }
}
