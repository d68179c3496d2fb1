//! Short words for what somebody does on a page.

use super::http::{Answer, Browser, encoded};

/// A page that must be there.
pub fn open(browser: &mut Browser, path: &str) -> Answer {
    let answer = browser.get(path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer
}

/// The value of a form's field.
#[track_caller]
pub fn field(page: &Answer, name: &str) -> String {
    let (_, rest) = page.body.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("no field {name}: {}", page.body));
    rest.split('"').next().expect("an end").to_owned()
}

/// Sends the form of a page whose form has no action of its own.
pub fn send(browser: &mut Browser, page: &Answer, path: &str, fields: &[(&str, &str)]) -> Answer {
    let csrf = field(page, "csrf");
    let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("csrf", csrf.as_str())]).collect();
    browser.post(path, &encoded(&fields))
}

/// Follows a redirect that says that all went well.
#[track_caller]
pub fn follow(browser: &mut Browser, answer: &Answer) -> Answer {
    assert_eq!(answer.status, 303, "{}", answer.body);
    let place = answer.location().to_owned();
    open(browser, &place)
}

#[track_caller]
pub fn says(page: &Answer, words: &str) {
    assert!(page.body.contains(words), "'{words}' is not on the page: {}", page.body);
}
