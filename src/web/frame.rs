//! What every page stands in: the utility's name, who looks, and where in the application they are.

use std::sync::mpsc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use actix_web::web;
use askama::Template;

use super::error::PageError;
use super::viewer::Viewer;
use crate::actions::{ActionError, Context};
use crate::db::alarms::AlarmRow;
use crate::domain::alarms::AlarmKind;
use crate::domain::roles::Permission;
use crate::telemetry::scope::carry;

/// The fields that `templates/base.html` needs; every page's template has one as `frame`.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// The utility's name.
    pub utility: String,
    /// The name of the signed-in person.
    pub name: Option<String>,
    /// Their hidden token, for forms.
    pub csrf: String,
    /// Navigation.
    pub links: Vec<NavLink>,
    /// One line about what was just done.
    pub notice: Option<String>,
    /// Whether the utility takes payments online.
    pub online: bool,
    /// What is wrong just now, for staff.
    pub alarms: Vec<AlarmLine>,
}

/// An alarm that is on.
#[derive(Debug, Clone)]
pub struct AlarmLine {
    /// What is wrong.
    pub title: &'static str,
    /// In figures.
    pub detail: String,
    /// The page that helps.
    pub href: &'static str,
}

/// An entry of the navigation.
#[derive(Debug, Clone)]
pub struct NavLink {
    /// Where it leads.
    pub href: &'static str,
    /// What it says.
    pub label: &'static str,
    /// Whether the page belongs to it.
    pub current: bool,
}

/// Whether an entry of the navigation is for this viewer.
type Offered = fn(&Viewer) -> bool;

/// Offered only where there is a payment provider.
const PAY: &str = "/pay";

/// What the navigation of a signed-in person offers: where it leads, what it says, and to whom. Areas add a line each.
const NAVIGATION: &[(&str, &str, Offered)] = &[
    ("/account", "Accounts", |viewer| !viewer.is_staff()),
    (PAY, "Pay", |viewer| !viewer.is_staff()),
    ("/staff", "Desk", |viewer| viewer.may(Permission::LookAtAccounts)),
    ("/staff/todos", "Work list", |viewer| viewer.may(Permission::LookAtAccounts)),
    ("/staff/runs", "Runs", |viewer| viewer.may(Permission::LookAtAccounts)),
    ("/staff/reconciliation", "Reconciliation", |viewer| viewer.may(Permission::LookAtAccounts)),
    ("/staff/overcharges", "Overcharges", |viewer| viewer.may(Permission::LookAtAccounts)),
    ("/staff/bank", "Bank", |viewer| viewer.may(Permission::LookAtAccounts)),
    ("/staff/notices", "Notices", |viewer| viewer.may(Permission::LookAtAccounts)),
    ("/staff/watch", "Watch", |viewer| viewer.may(Permission::LookAtAccounts)),
    ("/staff/schedule", "Schedule", |viewer| viewer.may(Permission::LookAtAccounts)),
    ("/staff/audit", "Audit", |viewer| viewer.may(Permission::ReadAudit)),
    ("/staff/logins", "Staff", |viewer| viewer.may(Permission::ManageLogins)),
    ("/profile", "Profile", |viewer| !viewer.is_staff()),
    ("/profile/sign-in", "Security", |_| true),
];

impl Frame {
    /// The frame of a page; `active` is the address of the navigation's entry that the page belongs to.
    #[must_use]
    pub fn new(context: &Context, viewer: Option<&Viewer>, active: &str) -> Self {
        let online = context.providers.first().is_some();
        let plain = Self { online, ..Self::signed_out(&context.config.utility_name) };
        let Some(viewer) = viewer else { return plain };
        let entries = NAVIGATION.iter().filter(|(href, _, offered)| offered(viewer) && (online || *href != PAY));
        let links = entries.map(|(href, label, _)| NavLink { href, label, current: *href == active }).collect();
        Self { name: Some(viewer.name.clone()), csrf: viewer.csrf.clone(), links, alarms: alarm_lines(&viewer.alarms), ..plain }
    }

    /// For somebody who is not signed in.
    #[must_use]
    pub fn signed_out(utility: &str) -> Self {
        Self { utility: utility.to_owned(), ..Self::default() }
    }

    /// The same with a line about what was just done.
    #[must_use]
    pub fn noting(self, notice: Option<String>) -> Self {
        Self { notice, ..self }
    }
}

fn alarm_lines(open: &[AlarmRow]) -> Vec<AlarmLine> {
    // The worst first; a kind of a later version of the program is shown on its own page only.
    let of = |kind: AlarmKind| open.iter().find(|row| row.kind == kind.as_str()).map(|row| (kind, row));
    let known = AlarmKind::ALL.into_iter().filter_map(of);
    known.map(|(kind, row)| AlarmLine { title: kind.title(), detail: row.detail.clone(), href: kind.path() }).collect()
}

/// A page. It is nobody else's: no cache keeps it.
///
/// # Errors
/// [`PageError::Internal`] when the template fails.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Result<HttpResponse, PageError> {
    let html = template.render().map_err(PageError::internal)?;
    let kind = (CONTENT_TYPE, "text/html; charset=utf-8");
    Ok(HttpResponse::build(status).insert_header(kind).insert_header((CACHE_CONTROL, "no-store")).body(html))
}

/// After a form: the browser is sent to a page, so that reloading does not send the form again.
pub(super) fn go_to(place: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, place)).insert_header((CACHE_CONTROL, "no-store")).finish()
}

/// Runs a verb away from the threads that serve.
///
/// # Errors
/// Those of the verb.
pub(super) async fn act<T: Send + 'static>(work: impl FnOnce() -> Result<T, ActionError> + Send + 'static) -> Result<T, PageError> {
    Ok(web::block(carry(work)).await.map_err(PageError::internal)??)
}

/// What takes a few seconds at most in a small town: the page then shows its end at once.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Runs a verb in a thread of its own, so that it survives the request: what came of it when it is done within `patience`.
///
/// # Errors
/// [`PageError::Internal`] when no thread can be started.
pub(super) async fn patiently<T: Send + 'static>(
    name: &'static str,
    patience: Duration,
    work: impl FnOnce() -> Result<T, ActionError> + Send + 'static,
) -> Result<Option<Result<T, ActionError>>, PageError> {
    let (done, wait) = mpsc::channel();
    let work = move || {
        let outcome = work();
        if let Err(error) = &outcome {
            log::warn!("{name}: {error}");
        }
        // Nobody waits any more when the work took longer.
        done.send(outcome).ok();
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(PageError::internal)?;
    act(move || Ok(wait.recv_timeout(patience).ok())).await
}
