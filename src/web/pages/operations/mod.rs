//! The front page, the health check, and what every area shares.

pub(in crate::web) mod metrics;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use askama::Template;

use crate::actions::Context;
use crate::db::billing;
use crate::web::error::PageError;
use crate::web::frame::{Frame, go_to, page};
use crate::web::routes::Routes;
use crate::web::viewer::MaybeViewer;
use crate::web::{ICON, STYLE};

/// The routes of this area.
pub(in crate::web) fn routes(routes: &mut Routes) {
    routes.get("/health", health);
    routes.get("/metrics", metrics::show);
    routes.get("/", front);
    routes.get("/static/style.css", style);
    routes.get("/static/icon.svg", icon);
}

/// The front page: what this is, and where to sign in.
#[derive(Template)]
#[template(path = "operations/front.html")]
struct Front {
    frame: Frame,
}

/// `GET /health`: 200 when the database answers, 503 when it does not.
pub(in crate::web) async fn health(context: web::Data<Context>) -> HttpResponse {
    let asked = web::block(move || context.database.read(|conn| billing::latest_runs(conn, 1)).map(|_| ())).await;
    let answers = matches!(asked, Ok(Ok(())));
    let status = if answers { "ok" } else { "database unreachable" };
    let body = serde_json::json!({ "status": status, "version": env!("CARGO_PKG_VERSION") });
    let mut response = if answers { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.insert_header((CACHE_CONTROL, "no-store")).json(body)
}

/// `GET /`: what this is; for those who are signed in, where they work.
pub(in crate::web) async fn front(context: web::Data<Context>, viewer: MaybeViewer) -> Result<HttpResponse, PageError> {
    match viewer.0 {
        Some(viewer) if viewer.is_staff() => Ok(go_to("/staff")),
        Some(_) => Ok(go_to("/account")),
        None => page(StatusCode::OK, &Front { frame: Frame::new(&context, None, "/") }),
    }
}

/// `GET /static/style.css`.
pub(in crate::web) async fn style() -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/css; charset=utf-8")).insert_header((CACHE_CONTROL, "public, max-age=3600")).body(STYLE)
}

/// `GET /static/icon.svg`.
pub(in crate::web) async fn icon() -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "image/svg+xml")).insert_header((CACHE_CONTROL, "public, max-age=86400")).body(ICON)
}

/// Whatever has no route. Looks for the viewer, so that the header is theirs.
pub(in crate::web) async fn not_found(_viewer: MaybeViewer) -> Result<HttpResponse, PageError> {
    Err(PageError::NotFound)
}
