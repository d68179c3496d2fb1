//! A customer's own reading of their meter: the form, and what becomes of it.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;
use chrono::NaiveDate;
use serde::Deserialize;

use super::{AccountHeading, account_link, frame, look, whose};
use crate::actions::account_view::{AccountView, account_view};
use crate::actions::enter_read::{NewRead, ReadOutcome, enter_read};
use crate::actions::{ActionError, Context};
use crate::db::account_views::ServiceRow;
use crate::domain::metering::ReadKind;
use crate::domain::quantity::parse_milli;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::text::{self, Day};
use crate::web::viewer::Viewer;

#[derive(Template)]
#[template(path = "customers/reading.html")]
struct ReadingPage {
    frame: Frame,
    heading: AccountHeading,
    tab: &'static str,
    meters: Vec<MeterChoice>,
    reading: String,
    read_on: String,
    today: NaiveDate,
    /// What is wrong with each field.
    meter_error: Option<String>,
    reading_error: Option<String>,
    date_error: Option<String>,
}

/// A meter that may be read.
struct MeterChoice {
    serial: String,
    address: String,
    chosen: bool,
    last: Option<(String, Day)>,
}

/// The form as it was sent.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Sent {
    #[serde(default)]
    meter: String,
    #[serde(default)]
    reading: String,
    #[serde(default)]
    read_on: String,
}

/// What a reading that was taken in means, by the word in the address.
pub(super) fn thanks(done: &str) -> Option<&'static str> {
    match done {
        "reading" => Some("Thank you, your reading was taken in. Your next bill uses it."),
        "reading-held" => Some("Thank you, we have your reading. It differs from what we expected, so somebody looks at it before it is used."),
        "reading-known" => Some("We had this reading already. Thank you all the same."),
        _ => None,
    }
}

/// The meters of an account that its customer may read: those in place, each once though it may measure two services.
fn meters(view: &AccountView) -> BTreeMap<&str, &ServiceRow> {
    view.services.iter().filter_map(|service| service.meter.as_deref().map(|meter| (meter, service))).collect()
}

/// `GET /account/{number}/reading`.
pub(super) async fn form(context: Data<Context>, viewer: Viewer, number: Path<String>) -> Result<HttpResponse, PageError> {
    let view = look(&context, &viewer, number.into_inner(), account_view).await?;
    let sent = Sent { read_on: context.today().to_string(), ..Sent::default() };
    page(StatusCode::OK, &reading_page(&context, &viewer, &view, sent, &[]))
}

/// `POST /account/{number}/reading`.
pub(super) async fn enter(context: Data<Context>, sent: CheckedForm<Sent>, number: Path<String>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form } = sent;
    if viewer.is_staff() {
        // Staff has a form of its own, which says that it was staff who read the meter.
        return Err(PageError::NotAllowed);
    }
    let whose = whose(&viewer)?;
    let acting = viewer.acting(&context);
    let number = number.into_inner();
    let (view, form, outcome) = act(move || {
        let view = account_view(&acting, &number, whose)?;
        let outcome = take(&acting, &view, &form)?;
        Ok((view, form, outcome))
    })
    .await?;
    let done = match outcome {
        Ok(ReadOutcome::Accepted) => "reading",
        Ok(ReadOutcome::Held(_)) => "reading-held",
        Ok(ReadOutcome::Unchanged) => "reading-known",
        Ok(ReadOutcome::Refused(reason)) => {
            return page(StatusCode::UNPROCESSABLE_ENTITY, &reading_page(&context, &viewer, &view, form, &[reason]));
        }
        Err(faults) => return page(StatusCode::UNPROCESSABLE_ENTITY, &reading_page(&context, &viewer, &view, form, &faults)),
    };
    Ok(go_to(&format!("{}?done={done}", account_link(&view.head.number))))
}

/// Takes the reading in, unless the form makes no sense: then what is wrong with which field.
fn take(context: &Context, view: &AccountView, sent: &Sent) -> Result<Result<ReadOutcome, Vec<String>>, ActionError> {
    let mut faults = Vec::new();
    let meters = meters(view);
    let meter = meters.get_key_value(sent.meter.as_str());
    if meter.is_none() {
        faults.push("meter: choose the meter that you read".to_owned());
    }
    let reading = parse_milli(&sent.reading).map_err(|error| faults.push(format!("reading: {error}"))).unwrap_or_default();
    let read_on = sent.read_on.trim().parse::<NaiveDate>();
    if read_on.is_err() {
        faults.push("read_on: expected the day on which you read the meter, as year-month-day".to_owned());
    }
    let (Some((serial, service)), Ok(read_on), true) = (meter, read_on, faults.is_empty()) else { return Ok(Err(faults)) };
    let register = service.register.clone().unwrap_or_default();
    let read = NewRead { meter: (*serial).to_owned(), register, read_on, reading_milli: reading, kind: ReadKind::Customer };
    enter_read(context, &read).map(Ok)
}

fn reading_page(context: &Context, viewer: &Viewer, view: &AccountView, sent: Sent, faults: &[String]) -> ReadingPage {
    let of = |field: &str| faults.iter().find_map(|fault| fault.strip_prefix(field)).map(|fault| sentence(fault.trim_start_matches(':').trim()));
    let (meter_error, date_error) = (of("meter"), of("read_on"));
    // A refusal that names no field is about the reading.
    let other = faults.iter().find(|fault| !fault.starts_with("meter") && !fault.starts_with("read_on") && !fault.starts_with("reading"));
    let reading_error = of("reading").or_else(|| other.map(|fault| sentence(fault)));
    let choice = |(serial, service): (&str, &ServiceRow)| MeterChoice {
        serial: serial.to_owned(),
        address: service.address.clone(),
        chosen: serial == sent.meter,
        last: service.reading_milli.map(text::quantity).zip(service.read_on.map(Day)),
    };
    ReadingPage {
        frame: frame(context, viewer),
        heading: AccountHeading::new(&view.head, viewer),
        tab: "reading",
        meters: meters(view).into_iter().map(choice).collect(),
        reading: sent.reading,
        read_on: sent.read_on,
        today: context.today(),
        meter_error,
        reading_error,
        date_error,
    }
}

/// A reason as a sentence.
fn sentence(reason: &str) -> String {
    let mut letters = reason.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str().trim_end_matches('.')))
}
