//! What every page stands in: the utility's name, who looks, and where in the application they are.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use actix_web::web;
use askama::Template;

use super::error::PageError;
use super::viewer::Viewer;
use crate::actions::{ActionError, Context};

/// What `base.html` needs: every page's template has it as `frame`.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The utility's name.
    pub utility: String,
    /// Who looks, when somebody is signed in.
    pub viewer: Option<Viewer>,
    /// The entry of the navigation that the page belongs to; empty is none.
    pub active: &'static str,
}

impl Frame {
    /// The frame of a page.
    #[must_use]
    pub fn new(context: &Context, viewer: Option<Viewer>, active: &'static str) -> Self {
        Self { utility: context.config.utility_name.clone(), viewer, active }
    }
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
    Ok(web::block(work).await.map_err(PageError::internal)??)
}
