//! Approvals: who stands behind a sign-in, so that nobody approves what they asked for themselves.

use unicode_normalization::UnicodeNormalization;

/// Who an address belongs to, whatever its spelling: without case, and without the tag that many mail services let one add
/// (`ana+2@…` is `ana@…`). A name that is no address is compared as it is, without case.
#[must_use]
pub fn person_key(address: &str) -> String {
    let plain: String = address.nfkc().collect::<String>().trim().to_lowercase();
    match plain.rsplit_once('@') {
        Some((local, domain)) => format!("{}@{}", local.split('+').next().unwrap_or(local), domain.trim_end_matches('.')),
        None => plain,
    }
}

/// Who a name belongs to, whatever the order of its words: `Clerk, Ana` is `ana clerk`. Two people of one name must be told
/// apart by their names before one may approve what the other asks for.
#[must_use]
pub fn name_key(name: &str) -> String {
    let plain: String = name.nfkc().collect::<String>().to_lowercase();
    let mut words: Vec<&str> = plain.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.sort_unstable();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_is_one_whatever_the_spelling() {
        for address in ["ana@town.example", " Ana@Town.example ", "ana+second@town.example", "ANA+x+y@TOWN.EXAMPLE.", "ａｎａ@town.example"] {
            assert_eq!(person_key(address), "ana@town.example", "{address}");
        }
        assert_ne!(person_key("anna@town.example"), "ana@town.example");
        assert_eq!(person_key("  Desk "), "desk");
        for name in ["Ana Clerk", "clerk, ana", " ANA  clerk", "Ana-Clerk"] {
            assert_eq!(name_key(name), "ana clerk", "{name}");
        }
        assert_ne!(name_key("Ana B Clerk"), name_key("Ana Clerk"));
    }
}
