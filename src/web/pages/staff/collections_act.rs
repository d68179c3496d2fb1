//! What a clerk does about an account's collections: one form for each verb, named by the last part of the address.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::accounts::{Top, look};
use super::forms::{Field, Form, Kind, Sent, parse_day};
use super::services::refuse_account;
use super::{Say, account_path, frame, fresh_reference};
use crate::actions::approvals::Outcome;
use crate::actions::collections::Taken;
use crate::actions::collections::deposits::{Taking, apply_deposit, refund_deposit, take_deposit, withdraw_deposit};
use crate::actions::collections::late_fees::waive_fee;
use crate::actions::collections::leak_relief::{Given, Giving, Preview, give_relief, preview_relief, undo_relief};
use crate::actions::collections::plans::{Agreeing, agree_plan, cancel_plan};
use crate::actions::collections::write_off::{WritingOff, WrittenOff, write_off};
use crate::actions::payments::Posted;
use crate::actions::staff_account::Head;
use crate::actions::{ActionError, Context};
use crate::domain::ledger::Tender;
use crate::domain::money::Money;
use crate::domain::roles::Permission;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{Frame, act, go_to, page};
use crate::web::routes::Routes;
use crate::web::text::words;
use crate::web::viewer::Viewer;

pub(super) fn routes(routes: &mut Routes) {
    routes.get("/staff/accounts/{number}/collections/{verb}", form_page);
    routes.post("/staff/accounts/{number}/collections/{verb}", send);
}

/// What a clerk can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Waive,
    Plan,
    CancelPlan,
    TakeDeposit,
    ApplyDeposit,
    RefundDeposit,
    WithdrawDeposit,
    Leak,
    UndoLeak,
    WriteOff,
}

impl Verb {
    fn named(name: &str) -> Result<Self, PageError> {
        Ok(match name {
            "waive" => Self::Waive,
            "plan" => Self::Plan,
            "plan-cancel" => Self::CancelPlan,
            "deposit" => Self::TakeDeposit,
            "deposit-apply" => Self::ApplyDeposit,
            "deposit-refund" => Self::RefundDeposit,
            "deposit-withdraw" => Self::WithdrawDeposit,
            "leak" => Self::Leak,
            "leak-undo" => Self::UndoLeak,
            "write-off" => Self::WriteOff,
            _ => return Err(PageError::NotFound),
        })
    }

    /// Title, what it does, and the button.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Waive => ("Waive a late fee", "The fee is credited. A fee is waived once; the customer is told.", "Waive it"),
            Self::Plan => (
                "Agree a pay plan",
                "Everything that is owed is divided into instalments. While they come in time there is no late fee and no reminder for it, \
                 and autopay draws with a bill only the instalments that are due by then. New bills are due on their own days.",
                "Agree it",
            ),
            Self::CancelPlan => {
                ("Cancel the pay plan", "What is left of it is due as it was before the plan. The customer is told.", "Cancel the plan")
            }
            Self::TakeDeposit => ("Take a deposit", "It is charged and paid at once, held apart, and earns interest by the policy.", "Take it"),
            Self::ApplyDeposit => ("Apply a deposit", "It becomes a credit of the account, with its interest to this day.", "Apply it"),
            Self::RefundDeposit => ("Refund a deposit", "It is applied, and what it leaves to the customer's good is paid out.", "Refund it"),
            Self::WithdrawDeposit => (
                "Withdraw a deposit",
                "Its payment went back and nobody paid it again: its charge is taken back. The customer is told.",
                "Withdraw it",
            ),
            Self::Leak => (
                "Leak relief",
                "Each bill is priced anew with a share of the excess use taken off. Look at the preview first; then what was previewed is given.",
                "Go on",
            ),
            Self::UndoLeak => ("Take a relief back", "What was credited is charged again. The customer is told.", "Take it back"),
            Self::WriteOff => ("Write a debt off", "It is not collected any more. The customer is not told.", "Write it off"),
        }
    }
}

/// What a form is about.
#[derive(Debug, Default, Deserialize)]
struct About {
    subject: Option<String>,
}

fn note() -> Field {
    Field::new("note", "Note", Kind::Words).hint("Why, in words: it stands in the audit trail")
}

fn reference(context: &Context, letter: char) -> Field {
    Field::new("reference", "Reference", Kind::Text).hint("Sending it twice does it once").value(fresh_reference(context, letter))
}

fn fields(context: &Context, verb: Verb, subject: &str) -> Form {
    let subject = |label: &'static str| Field::new("subject", label, Kind::Text).value(subject.to_owned());
    Form::new(match verb {
        Verb::Waive => vec![subject("Position of the fee in the ledger"), reference(context, 'W'), note()],
        Verb::Plan => vec![
            Field::new("instalments", "How many instalments", Kind::Text).value("3"),
            Field::new("first", "The first is due on", Kind::Date).value(context.today().to_string()),
            Field::new("months", "Months from one to the next", Kind::Text).value("1"),
            reference(context, 'I'),
            note(),
        ],
        Verb::CancelPlan => vec![subject("Reference of the plan"), note()],
        Verb::TakeDeposit => {
            let tenders = Tender::ALL.map(|tender| (tender.as_str().to_owned(), words(tender.as_str()))).to_vec();
            vec![
                Field::new("amount", "Amount", Kind::Money),
                Field::new("tender", "Form of money", Kind::Choice(tenders)).value("cash"),
                reference(context, 'D'),
                note(),
            ]
        }
        Verb::ApplyDeposit | Verb::RefundDeposit | Verb::WithdrawDeposit => vec![subject("Reference of the deposit"), note()],
        Verb::UndoLeak => vec![subject("Reference of the relief"), note()],
        Verb::Leak => vec![
            Field::new("bills", "Bills of the leak", Kind::Text).hint("Their numbers, with a space between them"),
            Field::new("evidence", "Evidence", Kind::Words).hint("What shows that there was a leak and that it is mended: a plumber's invoice, say"),
            reference(context, 'L'),
            Field::new("seen", "", Kind::Hidden).optional(),
        ],
        Verb::WriteOff => {
            vec![Field::new("amount", "Amount", Kind::Money).hint("Empty for everything that is due").optional(), reference(context, 'O'), note()]
        }
    })
}

#[derive(Template)]
#[template(path = "staff/collections/form.html")]
struct CollectionsForm {
    frame: Frame,
    say: Say,
    top: Top,
    title: &'static str,
    lead: &'static str,
    button: &'static str,
    form: Form,
    /// What a relief would give, bill by bill.
    preview: Option<Box<Preview>>,
}

fn shown(context: &Context, viewer: &Viewer, head: Head, verb: Verb, form: Form, preview: Option<Box<Preview>>) -> Result<HttpResponse, PageError> {
    let (title, lead, button) = verb.words();
    let button = if preview.is_some() { "Give this relief" } else { button };
    let status = if form.refused() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let (frame, top) = (frame(context, viewer, "/staff"), Top::new(viewer, head, "collections"));
    page(status, &CollectionsForm { frame, say: Say::new(context), top, title, lead, button, form, preview })
}

/// `GET /staff/accounts/{number}/collections/{verb}`.
async fn form_page(
    context: web::Data<Context>,
    viewer: Viewer,
    place: web::Path<(String, String)>,
    about: web::Query<About>,
) -> Result<HttpResponse, PageError> {
    viewer.must(Permission::WorkAccounts)?;
    let (number, verb) = place.into_inner();
    let verb = Verb::named(&verb)?;
    let acting = viewer.acting(&context);
    let head = act(move || look(&acting, &number)).await?;
    let form = fields(&context, verb, about.subject.as_deref().unwrap_or_default());
    shown(&context, &viewer, head, verb, form, None)
}

/// What came of a form: where to go, or a preview to be shown.
enum Came {
    Done(&'static str),
    Preview(Box<Preview>),
}

/// `POST /staff/accounts/{number}/collections/{verb}`.
async fn send(context: web::Data<Context>, place: web::Path<(String, String)>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let (number, verb) = place.into_inner();
    let verb = Verb::named(&verb)?;
    let acting = viewer.acting(&context);
    let at = acting.clone();
    let head = act(move || look(&at, &number)).await?;
    let mut form = fields(&context, verb, "").filled(&sent);
    let Some(work) = work(verb, &head.number, &mut form) else { return shown(&context, &viewer, head, verb, form, None) };
    match act(move || work(&acting)).await {
        Ok(Came::Done(done)) => Ok(go_to(&format!("{}/collections?done={done}", account_path(&head.number)))),
        Ok(Came::Preview(preview)) => {
            if let Some(field) = form.fields.iter_mut().find(|field| field.name == "seen") {
                field.value.clone_from(&preview.sha256);
            }
            shown(&context, &viewer, head, verb, form, Some(preview))
        }
        Err(error) => {
            refuse_account(&mut form, "subject", error)?;
            shown(&context, &viewer, head, verb, form, None)
        }
    }
}

type Work = Box<dyn FnOnce(&Context) -> Result<Came, ActionError> + Send>;

fn done(posted: Posted, what: &'static str) -> Came {
    Came::Done(if posted.unchanged { "known" } else { what })
}

fn taken(came: Taken, what: &'static str) -> Came {
    came.posted().map_or(Came::Done("waits"), |posted| done(posted, what))
}

/// Reads a form; nothing when something is wrong with it.
fn work(verb: Verb, account: &str, form: &mut Form) -> Option<Work> {
    let account = account.to_owned();
    match verb {
        Verb::Leak => leak(account, form),
        Verb::Plan => plan(account, form),
        Verb::TakeDeposit => deposit(account, form),
        Verb::WriteOff => writing_off(account, form),
        Verb::Waive => {
            let fee = form.parse("subject", |text| text.parse::<i64>().map_err(|_| "expected a whole number".to_owned()));
            let (reference, note) = (form.text("reference"), form.text("note"));
            let (fee, reference, note) = (fee?, reference?, note?);
            Some(Box::new(move |context| waive_fee(context, &account, fee, &reference, &note).map(|came| taken(came, "waived"))))
        }
        Verb::CancelPlan => {
            let (subject, note) = (form.text("subject"), form.text("note"));
            let (subject, note) = (subject?, note?);
            Some(Box::new(move |context| cancel_plan(context, &account, Some(&subject), &note).map(|()| Came::Done("cancelled"))))
        }
        Verb::ApplyDeposit | Verb::RefundDeposit | Verb::WithdrawDeposit | Verb::UndoLeak => {
            let (subject, note) = (form.text("subject"), form.text("note"));
            let (subject, note) = (subject?, note?);
            Some(Box::new(move |context| match verb {
                Verb::ApplyDeposit => apply_deposit(context, &account, &subject, &note).map(|posted| done(posted, "applied")),
                Verb::RefundDeposit => refund_deposit(context, &account, &subject, &note).map(|came| match came {
                    Outcome::Done(posted) => done(posted, "refunded"),
                    Outcome::Permitted | Outcome::Waits(_) => Came::Done("waits"),
                }),
                Verb::WithdrawDeposit => withdraw_deposit(context, &account, &subject, &note).map(|posted| done(posted, "withdrawn")),
                _ => undo_relief(context, &account, &subject, &note).map(|came| taken(came, "undone")),
            }))
        }
    }
}

fn plan(account: String, form: &mut Form) -> Option<Work> {
    let number = |text: &str| text.parse::<u32>().map_err(|_| "expected a whole number".to_owned());
    let (instalments, months) = (form.parse("instalments", number), form.parse("months", number));
    let first = form.parse("first", parse_day);
    let (reference, note) = (form.text("reference"), form.text("note"));
    let agreeing = Agreeing { account, instalments: instalments?, first_due_on: first?, months_between: months?, reference: reference?, note: note? };
    Some(Box::new(move |context| agree_plan(context, &agreeing).map(|_| Came::Done("agreed"))))
}

fn deposit(account: String, form: &mut Form) -> Option<Work> {
    let (amount, tender) = (form.parse("amount", Money::parse), form.parse("tender", str::parse::<Tender>));
    let (reference, note) = (form.text("reference"), form.text("note"));
    let taking = Taking { account, amount: amount?, tender: tender?, reference: reference?, note: note? };
    Some(Box::new(move |context| take_deposit(context, &taking).map(|_| Came::Done("taken"))))
}

fn writing_off(account: String, form: &mut Form) -> Option<Work> {
    let given = form.fields.iter().any(|field| field.name == "amount" && !field.value.is_empty());
    let amount = if given { Some(form.parse("amount", Money::parse)?) } else { None };
    let (reference, note) = (form.text("reference"), form.text("note"));
    let what = WritingOff { account, amount, reference: reference?, note: note? };
    Some(Box::new(move |context| {
        write_off(context, &what).map(|came| match came {
            WrittenOff::Done(posted) => done(posted, "written-off"),
            WrittenOff::Waits(_) => Came::Done("waits"),
        })
    }))
}

fn leak(account: String, form: &mut Form) -> Option<Work> {
    let bills =
        form.parse("bills", |text| Ok::<_, String>(text.split([' ', ',']).filter(|bill| !bill.is_empty()).map(str::to_owned).collect::<Vec<_>>()));
    let (evidence, reference) = (form.text("evidence"), form.text("reference"));
    let seen = form.fields.iter().find(|field| field.name == "seen").map(|field| field.value.clone()).filter(|seen| !seen.is_empty());
    let giving = Giving { account, bills: bills?, evidence: evidence?, reference: reference?, seen };
    Some(Box::new(move |context| {
        // What was not previewed is not given.
        if giving.seen.is_none() {
            return preview_relief(context, &giving.account, &giving.bills).map(|preview| Came::Preview(Box::new(preview)));
        }
        give_relief(context, &giving).map(|given| match given {
            Given::Done(posted) => done(posted, "relieved"),
            Given::Waits(_) => Came::Done("waits"),
        })
    }))
}
