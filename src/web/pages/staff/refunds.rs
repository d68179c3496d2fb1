//! Money given back: the list of an account's refunds, a payment's money back through its provider, and what became of a
//! payout by bank.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::accounts::{Top, look};
use super::adjustments::outcome_at;
use super::forms::{Field, Form, Kind, Sent};
use super::payments::AccountForm;
use super::services::refuse_account;
use super::{ListQuery, Say, account_path, frame, fresh_reference, segment};
use crate::actions::approvals::Outcome;
use crate::actions::refunds::{Available, PayoutNews, RefundView, RefundWish, ask_refund, available, refunds_of, settle_payout};
use crate::actions::staff_account::{Head, payment};
use crate::actions::{ActionError, Context};
use crate::db::payments::PaymentRow;
use crate::domain::money::Money;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::routes::Routes;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/accounts/{number}/refunds", list);
    routes.get("/staff/accounts/{number}/payments/{seq}/refund", refund_form);
    routes.post("/staff/accounts/{number}/payments/{seq}/refund", refund);
    routes.get("/staff/accounts/{number}/payouts/{reference}", payout_form);
    routes.post("/staff/accounts/{number}/payouts/{reference}", payout);
}

#[derive(Template)]
#[template(path = "staff/refunds/list.html")]
struct RefundsPage {
    frame: Frame,
    say: Say,
    top: Top,
    refunds: Vec<RefundView>,
}

impl RefundView {
    /// The look of the state's badge, and what it is called.
    fn badge(&self) -> (&'static str, &'static str) {
        match self.state.as_str() {
            "created" if self.way == "payout" => ("warn", "to be paid"),
            "created" => ("warn", "to be sent"),
            "submitted" => ("water", "sent"),
            "succeeded" => ("good", "done"),
            _ => ("bad", "did not arrive"),
        }
    }

    fn way_words(&self) -> &'static str {
        match self.way.as_str() {
            "provider" => "through the provider",
            "payout" => "by bank",
            _ => "made at the provider, or taken back by the payer's bank",
        }
    }

    /// Whether a clerk can still say what became of it.
    fn is_open_payout(&self) -> bool {
        self.way == "payout" && self.state != "failed"
    }

    fn payout_link(&self, account: &str) -> String {
        format!("{}/payouts/{}", account, segment(&self.token))
    }
}

/// `GET /staff/accounts/{number}/refunds`.
async fn list(
    context: web::Data<Context>,
    viewer: Viewer,
    number: web::Path<String>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::LookAtAccounts)?;
    let acting = viewer.acting(&context);
    let (head, refunds) = act(move || {
        let head = look(&acting, &number)?;
        let refunds = refunds_of(&acting, &head.number)?;
        Ok((head, refunds))
    })
    .await?;
    let notice = match query.into_inner().done.as_deref() {
        Some("asked") => Some("The refund is in the ledger, and the provider is asked for it.".to_owned()),
        Some("known") => Some("This refund was there already. Nothing was posted twice.".to_owned()),
        Some("settled") => Some("What became of the payout is written down.".to_owned()),
        _ => None,
    };
    let top = Top::new(&viewer, head, "refunds");
    page(StatusCode::OK, &RefundsPage { frame: frame(&context, &viewer, "/staff").noting(notice), say: Say::new(&context), top, refunds })
}

// --- of a payment --------------------------------------------------------------------------------

struct Basis {
    head: Head,
    payment: PaymentRow,
    /// What can be given back, or why nothing can.
    available: Result<Available, String>,
}

fn load(acting: &Context, (number, seq): &(String, i64)) -> Result<Basis, ActionError> {
    let head = look(acting, number)?;
    let payment = payment(acting, head.id, *seq)?;
    let available = match available(acting, &head.number, payment.provider_ref.as_deref().unwrap_or_default()) {
        Ok(available) => Ok(available),
        Err(error @ (ActionError::Refused(_) | ActionError::NotFound { .. })) => Err(error.to_string()),
        Err(error) => return Err(error),
    };
    Ok(Basis { head, payment, available })
}

fn refund_fields(context: &Context, basis: &Basis) -> Form {
    let most = basis.available.as_ref().map(Available::most).ok().filter(|most| most.is_positive());
    Form::new(vec![
        Field::new("amount", "Amount", Kind::Money)
            .hint("No more than is left of the payment, and than the account has to its good")
            .value(most.map(|most| most.to_string()).unwrap_or_default()),
        Field::new("note", "Note", Kind::Words).hint("Why, in words: it stands in the ledger for good"),
        Field::new("reference", "Reference", Kind::Text)
            .hint("One refund for one reference: sending it twice posts it once")
            .value(fresh_reference(context, 'R')),
    ])
}

fn refund_page(context: &Context, viewer: &Viewer, basis: Basis, form: Form) -> AccountForm {
    let say = Say::new(context);
    let paid = say.cents(&basis.payment.amount_cents);
    let lead = match &basis.available {
        Ok(available) => {
            let most = say.cents(&available.most().cents());
            let (left, balance) = (say.cents(&available.of_payment_cents.max(0)), say.balance(&basis.head.balance));
            let why = if available.of_payment_cents <= 0 {
                "all of it was given back already".to_owned()
            } else if available.credit_cents <= 0 {
                format!("the account has nothing to its good (its balance is {balance}), though {left} of the payment is left")
            } else {
                format!("{left} of the payment is left, and the balance is {balance}")
            };
            format!("The payment was {paid}. At most {most} can be given back: {why}. The money goes to where it came from.")
        }
        Err(why) => format!("The payment was {paid}. Nothing of it can be given back: {why}."),
    };
    let top = Top::new(viewer, basis.head, "");
    AccountForm { frame: frame(context, viewer, "/staff"), top, title: "Give money back", lead, button: "Give it back", form }
}

/// `GET /staff/accounts/{number}/payments/{seq}/refund`.
async fn refund_form(context: web::Data<Context>, viewer: Viewer, place: web::Path<(String, i64)>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let basis = act(move || load(&acting, &place)).await?;
    let form = refund_fields(&context, &basis);
    refund_page(&context, &viewer, basis, form).answer()
}

/// `POST /staff/accounts/{number}/payments/{seq}/refund`.
async fn refund(context: web::Data<Context>, place: web::Path<(String, i64)>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let at = acting.clone();
    let basis = act(move || load(&at, &place)).await?;
    let mut form = refund_fields(&context, &basis).filled(&sent);
    let amount = form.parse("amount", Money::parse_paid);
    let note = form.text("note");
    let reference = form.text("reference");
    let paid = basis.payment.provider_ref.clone();
    if let (Some(amount), Some(note), Some(reference), Some(payment)) = (amount, note, reference, paid) {
        let wish = RefundWish { account: basis.head.number.clone(), payment, amount, reference, note };
        match act(move || ask_refund(&acting, &wish)).await {
            Ok(Outcome::Done(posted)) => {
                let done = if posted.unchanged { "known" } else { "asked" };
                return Ok(go_to(&format!("{}/refunds?done={done}", account_path(&basis.head.number))));
            }
            Ok(outcome) => return Ok(outcome_at(&account_path(&basis.head.number), &outcome)),
            Err(error) => refuse_account(&mut form, "amount", error)?,
        }
    }
    refund_page(&context, &viewer, basis, form).answer()
}

// --- by bank -------------------------------------------------------------------------------------

fn payout_fields() -> Form {
    let choices = [("sent", "The bank sent it"), ("failed", "It came back, or was never sent")];
    let choices = choices.map(|(value, words)| (value.to_owned(), words.to_owned())).to_vec();
    Form::new(vec![
        Field::new("what", "What became of it", Kind::Choice(choices)),
        Field::new("words", "The bank's reference, or why it failed", Kind::Text),
    ])
}

fn find_payout(acting: &Context, (number, reference): &(String, String)) -> Result<(Head, RefundView), ActionError> {
    let head = look(acting, number)?;
    let found = refunds_of(acting, &head.number)?.into_iter().find(|refund| refund.token == *reference && refund.way == "payout");
    Ok((head, found.ok_or_else(|| ActionError::not_found("payout", reference))?))
}

fn payout_page(context: &Context, viewer: &Viewer, (head, refund): (Head, RefundView), form: Form) -> AccountForm {
    let say = Say::new(context);
    let lead = format!(
        "Payout {} of {}: {}. When it failed, the money is the customer's again.",
        refund.token,
        say.cents(&refund.amount_cents),
        refund.badge().1
    );
    let top = Top::new(viewer, head, "");
    AccountForm { frame: frame(context, viewer, "/staff"), top, title: "What became of a payout", lead, button: "Write it down", form }
}

/// `GET /staff/accounts/{number}/payouts/{reference}`.
async fn payout_form(context: web::Data<Context>, viewer: Viewer, place: web::Path<(String, String)>) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let found = act(move || find_payout(&acting, &place)).await?;
    payout_page(&context, &viewer, found, payout_fields()).answer()
}

/// `POST /staff/accounts/{number}/payouts/{reference}`.
async fn payout(context: web::Data<Context>, place: web::Path<(String, String)>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let at = acting.clone();
    let found = act(move || find_payout(&at, &place)).await?;
    let mut form = payout_fields().filled(&sent);
    let what = form.text("what");
    let words = form.text("words");
    let news = match (what.as_deref(), words) {
        (Some("sent"), Some(words)) => Some(PayoutNews::Sent(words)),
        (Some("failed"), Some(words)) => Some(PayoutNews::Failed(words)),
        (Some(_), Some(_)) => {
            form.refuse("what", "Please choose one of these.");
            None
        }
        _ => None,
    };
    if let Some(news) = news {
        let (account, reference) = (found.0.number.clone(), found.1.token.clone());
        match act(move || settle_payout(&acting, &account, &reference, &news)).await {
            Ok(outcome @ Outcome::Waits(_)) => return Ok(outcome_at("", &outcome)),
            Ok(_) => return Ok(go_to(&format!("{}/refunds?done=settled", account_path(&found.0.number)))),
            Err(error) => form.take_refusal(error)?,
        }
    }
    payout_page(&context, &viewer, found, form).answer()
}
