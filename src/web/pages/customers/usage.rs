//! What an account used: a chart and its table for each service, and the file of it.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::{Data, Path};
use askama::Template;

use super::chart::Chart;
use super::{AccountHeading, frame, look};
use crate::actions::Context;
use crate::actions::usage_history::{export_usage, usage_history};
use crate::web::error::PageError;
use crate::web::frame::{Frame, page};
use crate::web::text::Currency;
use crate::web::viewer::Viewer;

#[derive(Template)]
#[template(path = "customers/usage.html")]
struct UsagePage {
    frame: Frame,
    heading: AccountHeading,
    tab: &'static str,
    charts: Vec<Chart>,
}

/// `GET /account/{number}/usage`: a chart and its table for each service.
pub(super) async fn usage(context: Data<Context>, viewer: Viewer, number: Path<String>) -> Result<HttpResponse, PageError> {
    let (head, services) = look(&context, &viewer, number.into_inner(), usage_history).await?;
    let currency = Currency::new(&context.config.currency);
    let charts = services.iter().zip(1..).map(|(service, number)| Chart::new(number, service, &currency)).collect();
    let heading = AccountHeading::new(&head, &viewer);
    page(StatusCode::OK, &UsagePage { frame: frame(&context, &viewer), heading, tab: "usage", charts })
}

/// `GET /account/{number}/usage.csv`: every billed period.
pub(super) async fn download(context: Data<Context>, viewer: Viewer, number: Path<String>) -> Result<HttpResponse, PageError> {
    let table = look(&context, &viewer, number.into_inner(), |context, number, whose| {
        let mut table = Vec::new();
        export_usage(context, number, whose, &mut table)?;
        Ok(table)
    })
    .await?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/csv; charset=utf-8"))
        .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"usage.csv\""))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(table))
}
