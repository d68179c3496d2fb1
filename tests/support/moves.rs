//! Short words for people who come and go.

use aquabills::actions::ActionError;
use aquabills::actions::moves::{MoveIn, MoveOut, MoveReport, Reading, move_in, move_out};

use super::{Town, day};

/// What a meter with one register shows.
pub fn reading(meter: &str, units: i64) -> Reading {
    Reading { meter: meter.to_owned(), register: "1".to_owned(), reading_milli: units * 1000 }
}

/// Somebody moves out.
pub fn leaves(town: &Town, account: &str, service: &str, on: &str, readings: Vec<Reading>) -> Result<MoveReport, ActionError> {
    let movement = MoveOut {
        account: account.to_owned(),
        service: service.to_owned(),
        on: day(on),
        readings,
        mailing_address: Some("1 New Street".to_owned()),
        note: "moves away".to_owned(),
    };
    move_out(&town.context, &movement)
}

/// Somebody moves in.
pub fn comes(town: &Town, account: &str, service: &str, on: &str, readings: Vec<Reading>) -> Result<MoveReport, ActionError> {
    let movement = MoveIn {
        account: account.to_owned(),
        name: Some(format!("Tenant {account}")),
        email: None,
        service: service.to_owned(),
        on: day(on),
        readings,
        note: String::new(),
    };
    move_in(&town.context, &movement)
}

/// The words of a refusal.
pub fn refusal<T: std::fmt::Debug>(outcome: Result<T, ActionError>) -> String {
    outcome.expect_err("a refusal").to_string()
}
