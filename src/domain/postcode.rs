//! Postcodes: whether what somebody typed is the postcode of an address that is kept as free text.
//!
//! An address says nowhere which part of it is the postcode, and every country has its own form. What they have in common:
//! it has digits, it stands after the street, and no number comes after it. So the postcode ends with the last word that has
//! a digit. The number of a house at the start of an address is none.

/// What is typed is never longer.
const LONGEST: usize = 12;
/// The shortest postcode (Iceland's).
const SHORTEST: usize = 3;
/// The shortest that may be a part of two words with digits: half of `SW1A 1AA` is not enough.
const SHORTEST_OF_TWO: usize = 4;

/// Letters and digits in capitals: what counts of a postcode.
fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect()
}

/// One word of an address: letters and digits, and what stands before it.
struct Word {
    text: String,
    after_hyphen: bool,
}

impl Word {
    fn has_digit(&self) -> bool {
        self.text.bytes().any(|byte| byte.is_ascii_digit())
    }
}

fn words(address: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut after_hyphen = false;
    for piece in address.split_inclusive(|letter: char| !letter.is_alphanumeric()) {
        let text = plain(piece);
        if !text.is_empty() {
            words.push(Word { text, after_hyphen });
        }
        after_hyphen = piece.ends_with('-');
    }
    words
}

/// Whether `typed` is the postcode of `address`, however either is spaced. Of `95000-1234` its first half is enough.
#[must_use]
pub fn is_postcode_of(typed: &str, address: &str) -> bool {
    let typed = plain(typed);
    if !(SHORTEST..=LONGEST).contains(&typed.len()) || !typed.bytes().any(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let words = words(address);
    let Some(end) = words.iter().rposition(Word::has_digit).filter(|end| *end > 0) else { return false };
    spellings(&words, end).contains(&typed)
}

/// What the postcode that ends with the word at `end` may be called.
fn spellings(words: &[Word], end: usize) -> Vec<String> {
    let text = |at: usize| words.get(at).map(|word| word.text.as_str()).unwrap_or_default();
    let last = text(end);
    let before = end.checked_sub(1).filter(|at| *at > 0 && words.get(*at).is_some_and(Word::has_digit)).map(text);
    let mut spellings = Vec::new();
    match before {
        None => spellings.push(last.to_owned()),
        Some(before) => {
            spellings.push(format!("{before}{last}"));
            let joined = words.get(end).is_some_and(|word| word.after_hyphen);
            if joined && before.len() == 5 && last.len() == 4 {
                spellings.push(before.to_owned());
            }
            if !joined && last.len() >= SHORTEST_OF_TWO {
                spellings.push(last.to_owned());
            }
        }
    }
    // The letters of `1234 AB Amsterdam` are a part of it.
    let letters = text(end + 1);
    if letters.len() == 2 && last.len() == 4 {
        spellings.push(format!("{last}{letters}"));
    }
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postcodes_of_many_countries_are_found() {
        for (typed, address) in [
            ("95000", "12 Mill Street, Millbrook, CA 95000"),
            (" 95 000 ", "12 Mill Street\nMillbrook 95000"),
            ("95000", "Unit 7, 1200 Mill Street, Millbrook, CA 95000-1234, USA"),
            ("95000-1234", "1200 Mill Street, Millbrook, CA 95000-1234"),
            ("sw1a1aa", "10 Downing Street, London SW1A 1AA"),
            ("K1A 0B1", "1 Rideau, Ottawa ON K1A 0B1, Canada"),
            ("1010", "Ring 12, 1010 Wien"),
            ("11122", "Gatan 3, 111 22 Stockholm"),
            ("1234 ab", "Kade 4, 1234 AB Amsterdam"),
            ("1234", "Kade 4, 1234 AB Amsterdam"),
            ("00-950", "ul. Prosta 51, 00-950 Warszawa"),
            ("75001", "12 rue X, 75001 Paris, France"),
            ("D02X285", "1 Grand Canal, Dublin D02 X285"),
        ] {
            assert!(is_postcode_of(typed, address), "{typed}: {address}");
        }
    }

    #[test]
    fn a_house_or_half_a_postcode_is_none() {
        for (typed, address) in [
            ("1200", "1200 Mill Street, Millbrook 95000"),
            ("1200", "1200 Mill Street"),
            ("95001", "12 Mill Street, Millbrook 95000"),
            ("1AA", "10 Downing Street, London SW1A 1AA"),
            ("SW1A", "10 Downing Street, London SW1A 1AA"),
            ("22", "Gatan 3, 111 22 Stockholm"),
            ("1234", "1200 Mill Street, Millbrook, CA 95000-1234"),
            ("Millbrook", "12 Mill Street, Millbrook 95000"),
            ("", "12 Mill Street, Millbrook 95000"),
            ("95000", ""),
            ("9500095000950", "12 Mill Street, Millbrook 9500095000950"),
        ] {
            assert!(!is_postcode_of(typed, address), "{typed}: {address}");
        }
    }
}
