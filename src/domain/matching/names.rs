//! Names of people and firms, compared as a clerk would: without case and accents, in any order, with initials.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Words that say nothing of who it is.
const FILLERS: &[&str] = &[
    "MR",
    "MRS",
    "MS",
    "MISS",
    "DR",
    "PROF",
    "SIR",
    "AND",
    "THE",
    "OR",
    "OF",
    "FOR",
    "INC",
    "LLC",
    "LTD",
    "LIMITED",
    "CO",
    "COMPANY",
    "CORP",
    "CORPORATION",
    "PLC",
    "LLP",
    "LP",
    "GMBH",
    "AG",
    "SA",
    "BV",
    "NV",
    "SRL",
    "SARL",
    "JR",
    "SR",
    "II",
    "III",
];
/// More words than these are no name.
const MOST_WORDS: usize = 12;
/// From this likeness on, in percent, two names are the same.
const SAME: u32 = 90;
/// From this likeness on, in percent, they are alike.
const ALIKE: u32 = 75;

/// How two names fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameFit {
    /// They have too little in common.
    Different,
    /// One may be a shorter or misspelt form of the other.
    Alike,
    /// They have the same words.
    Same,
}

/// The words of a name in capitals without accents, without titles and forms of firms.
#[must_use]
pub fn name_words(name: &str) -> Vec<String> {
    let plain = plain(name);
    let words = plain.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.filter(|word| !FILLERS.contains(word)).take(MOST_WORDS).map(str::to_owned).collect()
}

/// Capitals without accents; letters that have none of their own become the usual two.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.nfkd().filter(|letter| !is_combining_mark(*letter) && *letter != '\'' && *letter != '\u{2019}') {
        match letter {
            'ß' | 'ẞ' => plain.push_str("SS"),
            'æ' | 'Æ' => plain.push_str("AE"),
            'œ' | 'Œ' => plain.push_str("OE"),
            'ø' | 'Ø' => plain.push('O'),
            'ł' | 'Ł' => plain.push('L'),
            'đ' | 'Đ' => plain.push('D'),
            other => plain.extend(other.to_uppercase()),
        }
    }
    plain
}

/// How two names fit, whatever the order of their words.
#[must_use]
pub fn names_fit(a: &[String], b: &[String]) -> NameFit {
    let mut free: Vec<&String> = b.iter().collect();
    let (mut common, mut anchored) = (0, false);
    // Words that are equal find each other before those that are only alike.
    let mut left: Vec<&String> = Vec::new();
    for word in a {
        match free.iter().position(|other| *other == word) {
            Some(at) => {
                free.swap_remove(at);
                common += 100;
                anchored |= word.chars().count() >= 3;
            }
            None => left.push(word),
        }
    }
    for word in left {
        let best = free.iter().enumerate().map(|(at, other)| (likeness(word, other), at)).max_by_key(|(like, at)| (*like, std::cmp::Reverse(*at)));
        if let Some((like, at)) = best.filter(|(like, _)| *like > 0) {
            free.swap_remove(at);
            common += like;
            anchored |= like >= 80;
        }
    }
    let words = u32::try_from(a.len() + b.len()).unwrap_or(u32::MAX);
    let like = (2 * common).checked_div(words).unwrap_or(0);
    // A single common word, however equal, is half the town's.
    let several = a.len().min(b.len()) >= 2;
    match like {
        SAME.. if anchored && several => NameFit::Same,
        ALIKE.. if anchored => NameFit::Alike,
        _ => NameFit::Different,
    }
}

/// How alike two words are that are not equal, in percent: an initial, or one letter wrong in a long word.
fn likeness(a: &str, b: &str) -> u32 {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    match short.as_slice() {
        [initial] if long.first() == Some(initial) => 60,
        _ if short.len() >= 5 && one_letter_apart(&short, &long) => 85,
        _ => 0,
    }
}

/// Whether one letter too many, missing, wrong, or two swapped make the one word of the other.
fn one_letter_apart(short: &[char], long: &[char]) -> bool {
    let start = short.iter().zip(long).take_while(|(a, b)| a == b).count();
    let end = short.iter().rev().zip(long.iter().rev()).take_while(|(a, b)| a == b).count().min(short.len() - start);
    let (of_short, of_long) = (short.get(start..short.len() - end), long.get(start..long.len() - end));
    match (of_short, of_long) {
        (Some([] | [_]), Some([_])) => true,
        (Some([a, b]), Some([c, d])) => a == d && b == c,
        _ => false,
    }
}
