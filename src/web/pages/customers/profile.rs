//! A customer's own profile: how we reach them, and what they want to be told.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Query};
use askama::Template;
use serde::Deserialize;

use crate::actions::Context;
use crate::actions::notices::{Preference, Preferences, preferences, set_preferences};
use crate::domain::ids::PersonId;
use crate::domain::notices::NoticeKind;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::viewer::Viewer;

#[derive(Template)]
#[template(path = "customers/profile.html")]
struct ProfilePage {
    frame: Frame,
    name: String,
    email: String,
    kinds: Vec<Choice>,
    paperless: bool,
}

/// One kind of notice as a check box.
struct Choice {
    field: &'static str,
    label: &'static str,
    wanted: bool,
}

/// What was just done.
#[derive(Deserialize)]
pub(super) struct Done {
    done: Option<String>,
}

/// The form; a check box that is not ticked is not sent.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    bill_ready: Option<String>,
    payment_received: Option<String>,
    payment_returned: Option<String>,
    adjustment_given: Option<String>,
    high_usage: Option<String>,
    paperless: Option<String>,
}

impl Wanted {
    fn wants(&self, kind: NoticeKind) -> bool {
        let field = match kind {
            NoticeKind::BillReady => &self.bill_ready,
            NoticeKind::PaymentReceived => &self.payment_received,
            NoticeKind::PaymentReturned => &self.payment_returned,
            NoticeKind::AdjustmentGiven => &self.adjustment_given,
            NoticeKind::HighUsage => &self.high_usage,
            // What protects the account is always sent.
            _ => return true,
        };
        field.is_some()
    }

    fn preferences(&self) -> Preferences {
        let kinds = NoticeKind::SWITCHABLE.map(|kind| Preference { kind, wanted: self.wants(kind) }).to_vec();
        Preferences { kinds, paperless: self.paperless.is_some() }
    }
}

/// Customers have a profile of this kind; staff has its sign-in only.
fn person(viewer: &Viewer) -> Result<PersonId, PageError> {
    viewer.person_id.ok_or(PageError::NotFound)
}

/// `GET /profile`. What staff can set is its sign-in.
pub(super) async fn profile(context: Data<Context>, viewer: Viewer, query: Query<Done>) -> Result<HttpResponse, PageError> {
    let Some(person) = viewer.person_id else { return Ok(go_to("/profile/sign-in")) };
    let acting = viewer.acting(&context);
    let found = act(move || preferences(&acting, person)).await?;
    let notice = (query.done.as_deref() == Some("saved")).then(|| "Your choices were saved.".to_owned());
    let kinds = found.kinds.iter().map(|choice| Choice { field: choice.kind.as_str(), label: choice.kind.title(), wanted: choice.wanted });
    let view = ProfilePage {
        frame: Frame::new(&context, Some(&viewer), "/profile").noting(notice),
        kinds: kinds.collect(),
        paperless: found.paperless,
        name: viewer.name,
        email: viewer.email,
    };
    page(StatusCode::OK, &view)
}

/// `POST /profile`.
pub(super) async fn save(context: Data<Context>, sent: CheckedForm<Wanted>) -> Result<HttpResponse, PageError> {
    let person = person(&sent.viewer)?;
    let acting = sent.viewer.acting(&context);
    act(move || set_preferences(&acting, person, &sent.form.preferences())).await?;
    Ok(go_to("/profile?done=saved"))
}
