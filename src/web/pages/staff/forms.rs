//! Forms of the staff's pages: their fields with labels and hints, what was entered, and what is wrong with it.

use std::borrow::Cow;

use crate::actions::ActionError;
use crate::web::error::PageError;

/// What a form sent: names and values, in order.
pub(super) type Sent = Vec<(String, String)>;

/// The value of a field, trimmed; empty when it was not sent.
pub(super) fn value<'a>(sent: &'a [(String, String)], name: &str) -> &'a str {
    sent.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.trim())
}

/// How a field is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// One line.
    Text,
    /// An amount of money.
    Money,
    /// A number as a meter shows it.
    Reading,
    /// A day.
    Date,
    /// Several lines.
    Words,
    /// One of a list: values and what they are called.
    Choice(Vec<(String, String)>),
    /// A box to tick.
    Tick,
    /// Not shown: what the form remembers of the page that it was made for.
    Hidden,
}

/// A field of a form.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub name: Cow<'static, str>,
    pub label: Cow<'static, str>,
    pub hint: String,
    pub kind: Kind,
    pub value: String,
    pub error: Option<String>,
    pub required: bool,
}

impl Field {
    pub(super) fn new(name: impl Into<Cow<'static, str>>, label: impl Into<Cow<'static, str>>, kind: Kind) -> Self {
        Self { name: name.into(), label: label.into(), hint: String::new(), kind, value: String::new(), error: None, required: true }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    pub(super) fn value(self, value: impl Into<String>) -> Self {
        Self { value: value.into(), ..self }
    }

    pub(super) fn optional(self) -> Self {
        Self { required: false, ..self }
    }

    /// The ids of hint and error, for whoever hears the page.
    pub(super) fn described_by(&self) -> String {
        let hint = if self.hint.is_empty() { None } else { Some(format!("{}-hint", self.name)) };
        let error = self.error.as_ref().map(|_| format!("{}-error", self.name));
        hint.into_iter().chain(error).collect::<Vec<_>>().join(" ")
    }
}

/// A form: fields, and what is wrong with the whole of it.
#[derive(Debug, Clone)]
pub(super) struct Form {
    pub fields: Vec<Field>,
    pub problem: Option<String>,
}

impl Form {
    pub(super) fn new(fields: Vec<Field>) -> Self {
        Self { fields, problem: None }
    }

    /// The same with what was entered.
    pub(super) fn filled(mut self, sent: &[(String, String)]) -> Self {
        for field in &mut self.fields {
            field.value = value(sent, &field.name).to_owned();
        }
        self
    }

    /// Whether anything is wrong.
    pub(super) fn refused(&self) -> bool {
        self.problem.is_some() || self.fields.iter().any(|field| field.error.is_some())
    }

    /// Fields that are wrong, in order.
    pub(super) fn wrong(&self) -> Vec<&Field> {
        self.fields.iter().filter(|field| field.error.is_some()).collect()
    }

    /// Says at a field what is wrong with it; without such a field, at the form.
    pub(super) fn refuse(&mut self, name: &str, message: impl Into<String>) {
        let message = message.into();
        match self.fields.iter_mut().find(|field| field.name == name) {
            Some(field) => field.error = Some(message),
            None => self.problem = Some(message),
        }
    }

    /// Takes a verb's refusal to the field that it names; what is no refusal goes on as an error.
    pub(super) fn take_refusal(&mut self, error: PageError) -> Result<(), PageError> {
        match error {
            PageError::Action(ActionError::Refused(message) | ActionError::Form(message) | ActionError::Violated(message)) => {
                let named = message.split_once(": ").filter(|(name, _)| self.fields.iter().any(|field| field.name == *name));
                match named {
                    Some((name, rest)) => {
                        let (name, rest) = (name.to_owned(), rest.to_owned());
                        self.refuse(&name, rest);
                    }
                    None => self.problem = Some(message),
                }
                Ok(())
            }
            PageError::Action(error @ ActionError::Busy { .. }) => {
                self.problem = Some(error.to_string());
                Ok(())
            }
            other => Err(other),
        }
    }

    /// The text of a field that must be filled in.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.parse(name, |text| Ok::<_, String>(text.to_owned()))
    }

    /// Parses a field; what is wrong is said there.
    pub(super) fn parse<T, E: std::fmt::Display>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let text = self.fields.iter().find(|field| field.name == name).map(|field| field.value.clone()).unwrap_or_default();
        if text.is_empty() {
            self.refuse(name, "Please fill this in.");
            return None;
        }
        match parse(&text) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.refuse(name, error.to_string());
                None
            }
        }
    }
}

/// Parses a day as browsers send it.
pub(super) fn parse_day(text: &str) -> Result<chrono::NaiveDate, String> {
    let wrong = || format!("'{text}' is not a day: expected a date like 2026-05-18");
    // Year, month and day in ten characters: not the years of five digits, or before our era, that could be parsed, too.
    if text.len() == 10 && !text.starts_with(['+', '-']) { text.parse().map_err(|_| wrong()) } else { Err(wrong()) }
}
