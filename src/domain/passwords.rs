//! Which passwords are accepted: the rules of NIST SP 800-63B.
//!
//! Long enough, and not one that is tried first: no common password, no repetition or sequence, nothing that is mostly
//! the person's or the utility's name. Nothing else: every character is welcome, none is demanded, and a password does
//! not grow old. It is taken in Unicode's form NFC, so that one keyboard's `é` is another's.

use std::collections::HashSet;
use std::sync::LazyLock;

use thiserror::Error;
use unicode_normalization::UnicodeNormalization;

/// The longest password: passphrases fit.
pub const LONGEST_PASSWORD: usize = 128;
/// Runs of at least so many characters (`1234`, `qwer`, `aaaa`) count as one.
const SHORTEST_RUN: usize = 3;
/// So many characters must be left when every run counts as one.
const FEWEST_WITHOUT_RUNS: usize = 6;
/// So many characters must be left beside names.
const FEWEST_BESIDE_NAMES: usize = 8;
/// Shorter names are in too many good passwords.
const SHORTEST_NAME: usize = 4;
/// Neighbours on keyboards.
const KEYBOARD: [&str; 5] = ["qwertyuiop", "asdfghjkl", "zxcvbnm", "1234567890", "qwertzuiop"];

static COMMON: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let list = include_str!("passwords.txt").lines();
    list.filter(|line| !line.starts_with('#') && !line.is_empty()).collect()
});

/// What a password must not be made of.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The fewest characters.
    pub shortest: usize,
    /// The utility's name.
    pub utility: String,
    /// The person's address.
    pub email: String,
    /// The person's name.
    pub name: String,
}

/// Why a password is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PasswordFault {
    /// Too few characters.
    #[error("the password has {has} characters: expected at least {shortest}. A few words in a row are long and easy to remember")]
    TooShort {
        /// How many it has.
        has: usize,
        /// How many are expected.
        shortest: usize,
    },
    /// Too many characters.
    #[error("the password has {has} characters: expected at most {LONGEST_PASSWORD}")]
    TooLong {
        /// How many it has.
        has: usize,
    },
    /// The same again and again.
    #[error("the password repeats the same characters: expected something that is harder to guess")]
    Repetition,
    /// Characters in a row.
    #[error("the password is made of characters in a row, such as 1234, abcd or qwerty: expected something that is harder to guess")]
    Sequence,
    /// On the list of those that are tried first.
    #[error("the password is a common one and is tried first by whoever guesses: expected another")]
    Common,
    /// Mostly a name.
    #[error("the password is mostly {0}: expected something that others cannot know")]
    Name(&'static str),
}

/// The form in which a password is hashed.
#[must_use]
pub fn normal_form(password: &str) -> String {
    password.nfc().collect()
}

/// Whether a password is accepted.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_password(password: &str, around: &Surroundings) -> Result<(), PasswordFault> {
    let password = normal_form(password);
    let has = password.chars().count();
    if has < around.shortest {
        return Err(PasswordFault::TooShort { has, shortest: around.shortest });
    }
    if has > LONGEST_PASSWORD {
        return Err(PasswordFault::TooLong { has });
    }
    let small = password.to_lowercase();
    let letters: Vec<char> = small.chars().collect();
    if is_repetition(&letters) {
        return Err(PasswordFault::Repetition);
    }
    if without_runs(&letters) < FEWEST_WITHOUT_RUNS {
        return Err(PasswordFault::Sequence);
    }
    if is_common(&small) {
        return Err(PasswordFault::Common);
    }
    names_in(&small, around).map_or(Ok(()), |whose| Err(PasswordFault::Name(whose)))
}

/// Whether it is a piece, at most half as long, again and again.
fn is_repetition(letters: &[char]) -> bool {
    (1..=letters.len() / 2).any(|period| letters.iter().zip(&letters[period..]).all(|(a, b)| a == b))
}

/// How many characters there are when every run of equal, following or neighbouring ones counts as one.
fn without_runs(letters: &[char]) -> usize {
    let (mut at, mut count) = (0, 0);
    while at < letters.len() {
        let longest = STEPS.iter().map(|step| run_length(&letters[at..], *step)).max().unwrap_or(1);
        at += if longest >= SHORTEST_RUN { longest } else { 1 };
        count += 1;
    }
    count
}

type Step = fn(char, char) -> bool;

/// The ways in which one character leads to the next.
const STEPS: [Step; 5] = [
    |a, b| a == b,
    |a, b| u32::from(a) + 1 == u32::from(b),
    |a, b| u32::from(b) + 1 == u32::from(a),
    |a, b| KEYBOARD.iter().any(|row| row.contains(&String::from_iter([a, b]))),
    |a, b| KEYBOARD.iter().any(|row| row.contains(&String::from_iter([b, a]))),
];

fn run_length(letters: &[char], step: Step) -> usize {
    1 + letters.windows(2).take_while(|two| step(two[0], two[1])).count()
}

/// Whether it is a common password, perhaps with figures and signs around it, or with figures in place of letters.
fn is_common(small: &str) -> bool {
    let core = small.trim_matches(|c: char| !c.is_alphabetic());
    let plain: String = core.chars().filter_map(plain_letter).collect();
    let only_letters: String = small.chars().filter(|c| c.is_alphabetic()).collect();
    [small, core, plain.as_str(), only_letters.as_str()].iter().any(|form| COMMON.contains(form))
}

/// What a figure or sign stands for in `p4$$w0rd`; nothing for the others.
fn plain_letter(c: char) -> Option<char> {
    match c {
        '0' => Some('o'),
        '1' | '!' => Some('i'),
        '3' => Some('e'),
        '4' | '@' => Some('a'),
        '5' | '$' => Some('s'),
        '7' => Some('t'),
        _ => c.is_alphabetic().then_some(c),
    }
}

/// Whose name it mostly is.
fn names_in(small: &str, around: &Surroundings) -> Option<&'static str> {
    let local = around.email.split('@').next().unwrap_or_default();
    let sources = [
        ("your e-mail address", local),
        ("your name", around.name.as_str()),
        ("the utility's name", around.utility.as_str()),
        ("the name of this program", "aquabills"),
    ];
    sources.into_iter().find(|(_, text)| leaves_little(small, text)).map(|(whose, _)| whose)
}

fn leaves_little(small: &str, name: &str) -> bool {
    let name = name.to_lowercase();
    let together: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
    let words = name.split(|c: char| !c.is_alphanumeric()).chain([together.as_str()]).filter(|word| word.chars().count() >= SHORTEST_NAME);
    let mut words: Vec<&str> = words.collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let rest = words.iter().fold(small.to_owned(), |rest, word| rest.replace(word, ""));
    rest.len() < small.len() && rest.chars().filter(|c| !c.is_whitespace()).count() < FEWEST_BESIDE_NAMES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(password: &str) -> Result<(), PasswordFault> {
        let around = Surroundings {
            shortest: 12,
            utility: "Millbrook Water".to_owned(),
            email: "ada.lovelace@example.org".to_owned(),
            name: "Ada Lovelace".to_owned(),
        };
        check_password(password, &around)
    }

    #[test]
    fn good_passwords_of_every_kind_are_accepted() {
        for good in [
            "correct horse battery staple",
            "tap runs slowly at dawn",
            "ошибка капает медленно",
            "水道料金は毎月払います。はい",
            "kX9#mQ2$vB7!",
            "739184620517",
            "             a b c d e f",
            "millbrook has a very old pump",
            "🐟🐠🐡🦈🐙🦑🦐🦞🦀🐚🪸🐳",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert_eq!(check(&"tap runs ".repeat(14).chars().chain("slowly".chars()).skip(20).take(128).collect::<String>()).err(), None);
    }

    #[test]
    fn each_rule_is_named() {
        assert_eq!(check("short"), Err(PasswordFault::TooShort { has: 5, shortest: 12 }));
        assert_eq!(check(&"ab cd ef g".repeat(13)), Err(PasswordFault::TooLong { has: 130 }));
        assert_eq!(check("passwordpassword"), Err(PasswordFault::Repetition));
        assert_eq!(check("aaaaaaaaaaaaaaa"), Err(PasswordFault::Repetition));
        assert_eq!(check("abcdefghijklmn"), Err(PasswordFault::Sequence));
        assert_eq!(check("qwertyuiop1234567890"), Err(PasswordFault::Sequence));
        assert_eq!(check("0987654321poiuytrewq"), Err(PasswordFault::Sequence));
        assert_eq!(check("Password2026!!"), Err(PasswordFault::Common));
        assert_eq!(check("P4$$w0rd20261!"), Err(PasswordFault::Common));
        assert_eq!(check("...sunshine!1984"), Err(PasswordFault::Common));
        assert_eq!(check("Ada.Lovelace-1815"), Err(PasswordFault::Name("your e-mail address")));
        assert_eq!(check("MillbrookWater2026"), Err(PasswordFault::Name("the utility's name")));
        assert_eq!(check("AquaBills-2026!"), Err(PasswordFault::Name("the name of this program")));
        assert!(COMMON.len() > 5_000);
    }

    #[test]
    fn one_form_for_all_keyboards() {
        assert_eq!(normal_form("cafe\u{301}"), normal_form("caf\u{e9}"));
    }
}
