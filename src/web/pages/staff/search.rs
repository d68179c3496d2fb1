//! The one search box: by whatever a caller can name.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::{PAGE_ROWS, Say, account_path, frame, segment};
use crate::actions::Context;
use crate::actions::search::{Results, search};
use crate::domain::ids::AccountId;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/search", results);
}

#[derive(Debug, Deserialize)]
struct SearchQuery {
    #[serde(default)]
    q: String,
    from: Option<i64>,
}

#[derive(Template)]
#[template(path = "staff/search.html")]
struct SearchPage {
    frame: Frame,
    say: Say,
    text: String,
    results: Results,
    older: Option<String>,
    first: bool,
}

/// `GET /staff/search?q=`: what was found, or, when the text names one account, that account.
async fn results(context: web::Data<Context>, viewer: Viewer, query: web::Query<SearchQuery>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let SearchQuery { q, from } = query.into_inner();
    let text: String = q.chars().filter(|letter| !letter.is_control()).take(200).collect();
    let asked = text.clone();
    let acting = viewer.acting(&context);
    let results = act(move || search(&acting, &asked, AccountId(from.unwrap_or(0)), PAGE_ROWS)).await?;
    if let Some(only) = &results.only {
        return Ok(go_to(&account_path(only)));
    }
    let older = results.next.map(|next| format!("/staff/search?q={}&from={next}", segment(text.trim())));
    let say = Say::new(&context);
    page(StatusCode::OK, &SearchPage { frame: frame(&context, &viewer, "/staff"), say, text, results, older, first: from.is_none() })
}
