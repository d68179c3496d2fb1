//! A bill as a PDF: for paper, for the archive, and for whoever reads with their ears (PDF/UA-1: every text has its place in a
//! structure of headings, tables and paragraphs).
//!
//! What belongs here: how a bill looks on paper. What it says is [`crate::actions::bill_words`], from which its page is made too.
//! [`bill`] composes, [`layout`] and [`table`] know pages, lines and rows, [`paint`] writes the file, [`font`] knows letters.
//!
//! The same words give the same bytes: nothing here knows the time or chance.

mod bill;
mod font;
mod layout;
mod paint;
mod table;
mod units;

use thiserror::Error;

use crate::actions::bill_words::BillWords;
use crate::config::{Config, Paper};
use layout::Sheet;

/// Why there is no file.
#[derive(Debug, Error)]
pub enum PdfError {
    /// The typeface inside the program is broken.
    #[error("the typeface of bills cannot be read")]
    Typeface,
    /// Something is larger than any paper.
    #[error("the bill does not fit on paper")]
    Measure,
    /// The file would not be accessible, or not a PDF.
    #[error("the file is not fit for everybody (PDF/UA-1): {0}")]
    Refused(String),
}

/// A bill as a PDF.
///
/// # Errors
/// [`PdfError`] when the result would not be a PDF that everybody can read.
pub fn bill(words: &BillWords, config: &Config) -> Result<Vec<u8>, PdfError> {
    let faces = font::Faces::get().ok_or(PdfError::Typeface)?;
    let composed = bill::compose(words, config, faces, sheet(config.paper));
    paint::paint(&composed, bill::about(words, config), faces)
}

/// The characters of a bill's names, addresses and advice that the typeface of paper lacks, each once: on paper another sign stands
/// for them. The bill's page shows them.
#[must_use]
pub fn lacking(words: &BillWords) -> String {
    let Some(faces) = font::Faces::get() else { return String::new() };
    let of_bill = [words.name.as_str(), words.address.as_deref().unwrap_or_default(), words.how_to_pay.as_str()];
    let texts = of_bill.into_iter().chain(words.segments.iter().map(|segment| segment.address.as_str()));
    let mut missing: Vec<char> = texts.flat_map(|text| faces.lacking(text)).collect();
    missing.sort_unstable();
    missing.dedup();
    missing.into_iter().collect()
}

/// The name under which a bill's file is kept.
#[must_use]
pub fn file_name(bill_number: &str) -> String {
    format!("bill-{bill_number}.pdf")
}

fn sheet(paper: Paper) -> Sheet {
    match paper {
        Paper::Letter => Sheet { width: 612 * units::POINT, height: 792 * units::POINT },
        Paper::A4 => Sheet { width: 595_276, height: 841_890 },
    }
}
