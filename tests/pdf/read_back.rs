//! What other programs find in a PDF.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Runs a tool on a PDF; what it prints.
fn ask(tool: &str, args: &[&str], pdf: &Path) -> String {
    let output = Command::new(tool).args(args).arg(pdf).args((tool == "pdftotext").then_some("-")).output();
    let package = if tool == "qpdf" { "qpdf" } else { "poppler-utils" };
    let output = output.unwrap_or_else(|error| panic!("{tool} is missing ({error}): `tests/run --install` gets it (Debian: {package})"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{tool}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Writes bytes into a file and asks about it.
fn about(bytes: &[u8], tool: &str, args: &[&str]) -> String {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("bill.pdf");
    std::fs::write(&path, bytes).expect("the file is written");
    ask(tool, args, &path)
}

/// The text of a PDF, without what is only decoration (page numbers).
pub fn text(bytes: &[u8]) -> String {
    about(bytes, "pdftotext", &["-raw", "-enc", "UTF-8"])
}

/// The structure with its texts.
pub fn structure(bytes: &[u8]) -> String {
    about(bytes, "pdfinfo", &["-struct-text"])
}

/// What the file says of itself.
pub fn facts(bytes: &[u8]) -> BTreeMap<String, String> {
    let text = about(bytes, "pdfinfo", &[]);
    text.lines().filter_map(|line| line.split_once(':')).map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}

/// Fails unless the file is a sound PDF.
pub fn assert_sound(bytes: &[u8]) {
    let told = about(bytes, "qpdf", &["--check"]);
    assert!(told.contains("No syntax or stream encoding errors"), "{told}");
}

/// The part of a page that a printer gets, without markup.
pub fn printed(html: &str) -> String {
    let (_, main) = html.split_once("<main").expect("a main part");
    let (main, _) = main.split_once("</main>").expect("its end");
    let mut rest = main.split_once('>').expect("a tag").1.to_owned();
    // What is on the screen only, each of them a paragraph, a link or a bar of links.
    while let Some(at) = rest.find("no-print").or_else(|| rest.find("class=\"crumbs\"")) {
        let open = rest[..at].rfind('<').expect("a tag");
        let name: String = rest[open + 1..].chars().take_while(char::is_ascii_alphanumeric).collect();
        let close = format!("</{name}>");
        let end = open + rest[open..].find(&close).expect("an end") + close.len();
        rest.replace_range(open..end, " ");
    }
    let mut text = String::new();
    let mut inside = false;
    for letter in rest.chars() {
        match letter {
            '<' => inside = true,
            '>' => {
                inside = false;
                text.push(' ');
            }
            _ if !inside => text.push(letter),
            _ => {}
        }
    }
    for (entity, letter) in [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")] {
        text = text.replace(entity, letter);
    }
    text
}

fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| letter.is_whitespace())
        .map(|word| word.trim_matches(['.', ',', ';', ':', '(', ')', '"', '\'']))
        .filter(|word| !word.is_empty())
}

/// Every amount of money with how often it is there.
pub fn amounts(text: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for word in tokens(text).filter(|word| word.contains('$')) {
        *found.entry(word.to_owned()).or_default() += 1;
    }
    found
}

/// Everything with a figure in it.
pub fn figures(text: &str) -> BTreeSet<String> {
    tokens(text).filter(|word| word.contains(|letter: char| letter.is_ascii_digit())).map(str::to_owned).collect()
}

/// What is said of the amount and of what is to be done about it.
const SENTENCES: [&str; 9] = [
    "Amount due",
    "This bill asked for",
    "Nothing to pay",
    "Please pay by",
    "Nothing is due now.",
    "Nothing is to be paid for this bill.",
    "Since then there was more on your account",
    ", which is to be paid",
    "How to pay",
];

/// The first of these sentences that is on the page or on paper only, the slip left out.
fn sentence_on_one(page: &str, paper: &str) -> Option<&'static str> {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").replace(" ,", ",").replace(" .", ".");
    let (page, paper) = (plain(page), plain(paper.split("Payment slip").next().unwrap_or_default()));
    SENTENCES.into_iter().find(|sentence| page.contains(sentence) != paper.contains(sentence))
}

/// Why a PDF does not say what the page says; nothing when it does.
pub fn difference(html: &str, bytes: &[u8]) -> Option<String> {
    let (page, paper) = (printed(html), text(bytes));
    let (mut expected, got) = (amounts(&page), amounts(&paper));
    assert!(expected.len() > 1, "no amounts on the page: {page}");
    if paper.contains("Payment slip") {
        // The slip says the amount once more.
        let due = html.split_once("id=\"amount-due\">").and_then(|(_, rest)| rest.split('<').next()).expect("an amount due");
        *expected.entry(due.to_owned()).or_default() += 1;
    }
    if expected != got {
        return Some(format!("amounts: on the page {expected:?}, on paper {got:?}"));
    }
    if let Some(sentence) = sentence_on_one(&page, &paper) {
        return Some(format!("'{sentence}' is on one of them only"));
    }
    let pages = facts(bytes)["Pages"].parse::<usize>().expect("a number of pages");
    let numbers: BTreeSet<String> = (1..=pages).map(|number| number.to_string()).collect();
    let (page, paper) = (figures(&page), figures(&paper));
    let missing: Vec<_> = page.difference(&paper).collect();
    let more: Vec<_> = paper.difference(&page).filter(|figure| !numbers.contains(*figure)).collect();
    (!missing.is_empty() || !more.is_empty()).then(|| format!("only on the page: {missing:?}, only on paper: {more:?}"))
}
