//! One bill in full, for its customer and for staff: on a screen, and as a file for paper.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::{Data, Path};
use askama::Template;

use crate::actions::autopay::view::draw_words;
use crate::actions::bill_words::BillWords;
use crate::actions::show_bill::{BillView, show_bill_to};
use crate::actions::sign_in::looked_at;
use crate::actions::{ActionError, Context};
use crate::domain::roles::Permission;
use crate::pdf;
use crate::web::error::PageError;
use crate::web::frame::{Frame, act, page};
use crate::web::pages::customers::{account_link, whose};
use crate::web::pages::payments::pay_link;
use crate::web::text;
use crate::web::viewer::Viewer;

#[derive(Template)]
#[template(path = "billing/bill.html")]
struct BillPage {
    frame: Frame,
    bill: BillWords,
    account_link: String,
    /// How the badge of its draw looks.
    draw_badge: &'static str,
    /// Where staff holds it.
    hold_link: Option<String>,
    /// Where staff cancels it, or bills it anew.
    rebill_link: Option<String>,
    /// Where its customer pays it.
    pay_link: Option<String>,
}

/// A bill that the viewer may see; the look is written down.
async fn look(context: &Context, viewer: &Viewer, number: Path<String>) -> Result<BillView, PageError> {
    let whose = whose(viewer)?;
    let acting = viewer.acting(context);
    let number = number.into_inner();
    act(move || {
        let bill = show_bill_to(&acting, &number, whose)?;
        looked_at(&acting, &bill.account)?;
        Ok(bill)
    })
    .await
}

/// `GET /bills/{number}`: a bill of somebody else is as absent as one that does not exist.
pub(super) async fn bill(context: Data<Context>, viewer: Viewer, number: Path<String>) -> Result<HttpResponse, PageError> {
    let bill = look(&context, &viewer, number).await?;
    let active = if viewer.is_staff() { "/staff" } else { "/account" };
    let mut shown = BillPage::new(Frame::new(&context, Some(&viewer), active), &bill, &context);
    shown.rebill_link =
        (viewer.may(Permission::WorkAccounts) && bill.cancelled.is_none()).then(|| format!("/staff/bills/{}/rebill", bill.bill_number));
    shown.hold_link = viewer.may(Permission::WorkAccounts).then(|| format!("/staff/bills/{}/hold", bill.bill_number));
    shown.pay_link = pay_link(&context, &bill.account).filter(|_| !viewer.is_staff() && bill.balance_now_cents > 0);
    page(StatusCode::OK, &shown)
}

/// `GET /bills/{number}.pdf`: the same bill as a file.
pub(super) async fn file(context: Data<Context>, viewer: Viewer, number: Path<String>) -> Result<HttpResponse, PageError> {
    let bill = look(&context, &viewer, number).await?;
    let making = context.clone();
    let words = BillWords::new(&bill, &context);
    let made = act(move || Ok::<_, ActionError>(pdf::bill(&words, &making.config))).await?.map_err(PageError::internal)?;
    let name = format!("attachment; filename=\"{}\"", pdf::file_name(&bill.bill_number));
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_TYPE, "application/pdf")).insert_header((CONTENT_DISPOSITION, name));
    Ok(response.insert_header((CACHE_CONTROL, "no-store")).body(made))
}

impl BillPage {
    fn new(frame: Frame, bill: &BillView, context: &Context) -> Self {
        Self {
            frame,
            bill: BillWords::new(bill, context),
            account_link: account_link(&bill.account),
            draw_badge: bill.draw.as_ref().map_or("", |draw| draw_words(draw).0),
            hold_link: None,
            rebill_link: None,
            pay_link: None,
        }
    }
}
