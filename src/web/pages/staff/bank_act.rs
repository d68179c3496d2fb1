//! What a clerk does with what banks sent: takes a file in, decides about a movement, gives a provider's money to an account.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};

use super::bank::{BankQuery, MovementQuery, PARTS, load, load_movement, refusal};
use super::forms::{Sent, value};
use crate::actions::Context;
use crate::actions::bank::credits;
use crate::actions::bank::decide::{Share, Verdict, decide};
use crate::actions::bank::import::{NewBankFile, import_bank_file};
use crate::domain::ids::{BankEntryId, UnappliedCreditId};
use crate::domain::money::Money;
use crate::domain::roles::Permission;
use crate::formats::bank::BankFormat;
use crate::web::error::PageError;
use crate::web::form::CheckedForm;
use crate::web::frame::{act, go_to, page};
use crate::web::routes::Routes;
use crate::web::upload::CheckedUpload;

pub(super) fn routes(routes: &mut Routes) {
    routes.post("/staff/bank/files", take_file);
    routes.post("/staff/bank/movements/{id}", decide_movement);
    routes.post("/staff/bank/credits/{id}", decide_credit);
}

/// `POST /staff/bank/files`: a file from the clerk's machine. The same file again adds nothing, so that sending the form twice
/// does no harm.
async fn take_file(context: web::Data<Context>, sent: CheckedUpload) -> Result<HttpResponse, PageError> {
    let CheckedUpload { viewer, fields, file } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let outcome = match (file, parse_format(value(&fields, "format"))) {
        (None, _) => Err("file: choose the file that the bank sent".to_owned()),
        (_, Err(fault)) => Err(fault),
        (Some((name, bytes)), Ok(format)) => {
            let mapping = Some(value(&fields, "mapping").to_owned()).filter(|name| !name.is_empty());
            let name: String = name.rsplit(['/', '\\']).next().unwrap_or_default().chars().filter(|letter| !letter.is_control()).take(200).collect();
            let new = NewBankFile { name: if name.is_empty() { "file".to_owned() } else { name }, bytes, format, mapping, dry_run: false };
            match act(move || import_bank_file(&acting, &new)).await {
                Ok(report) => Ok(report),
                Err(error) => Err(refusal(error)?),
            }
        }
    };
    let mut view = load(&context, &viewer, &BankQuery::default()).await?;
    match outcome {
        Ok(report) => {
            view.report = Some(report);
            page(StatusCode::OK, &view)
        }
        Err(problem) => {
            view.problem = Some(problem);
            page(StatusCode::UNPROCESSABLE_ENTITY, &view)
        }
    }
}

fn parse_format(text: &str) -> Result<Option<BankFormat>, String> {
    match text {
        "" => Ok(None),
        "bai2" => Ok(Some(BankFormat::Bai2)),
        "camt053" => Ok(Some(BankFormat::Camt053)),
        "camt054" => Ok(Some(BankFormat::Camt054)),
        "ach" => Ok(Some(BankFormat::Ach)),
        "csv" => Ok(Some(BankFormat::Csv)),
        other => Err(format!("format: '{other}' is none: expected bai2, camt053, camt054, ach or csv")),
    }
}

/// The accounts with amounts that a form has.
fn shares(sent: &[(String, String)]) -> Result<Vec<Share>, String> {
    let mut shares = Vec::new();
    for part in 1..=PARTS {
        let (account, amount) = (value(sent, &format!("account{part}")), value(sent, &format!("amount{part}")));
        if account.is_empty() && amount.is_empty() {
            continue;
        }
        if account.is_empty() {
            return Err(format!("account: {amount} has none: expected an account number"));
        }
        let amount = if amount.is_empty() { None } else { Some(Money::parse(amount).map_err(|error| format!("amount: {error}"))?) };
        shares.push(Share { account: account.to_owned(), amount });
    }
    if shares.is_empty() { Err("account: expected an account number".to_owned()) } else { Ok(shares) }
}

/// `POST /staff/bank/movements/{id}`. The form remembers how the movement stood: one that was decided meanwhile is not decided
/// again.
async fn decide_movement(context: web::Data<Context>, id: web::Path<i64>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let id = *id;
    let note = value(&sent, "note").to_owned();
    let verdict = match value(&sent, "decision") {
        "assign" => shares(&sent).map(|shares| {
            let payment = Some(value(&sent, "payment").to_owned()).filter(|reference| !reference.is_empty());
            Verdict::Assign { shares, payment }
        }),
        "set_aside" => Ok(Verdict::SetAside),
        "undo" => Ok(Verdict::Undo),
        _ => Err("decision: expected assign, set_aside or undo".to_owned()),
    };
    let acting = viewer.acting(&context);
    let problem = match verdict {
        Err(problem) => problem,
        Ok(verdict) => {
            let (seen, words) = (value(&sent, "seen").to_owned(), note.clone());
            match act(move || decide(&acting, BankEntryId(id), &verdict, &words, Some(&seen))).await {
                Ok(outcome) => {
                    let what = if outcome.unchanged { "unchanged" } else { outcome.status.as_str() };
                    return Ok(go_to(&format!("/staff/bank?done={what}.{id}")));
                }
                Err(error) => refusal(error)?,
            }
        }
    };
    let mut view = load_movement(&context, &viewer, id, &MovementQuery::default()).await?;
    view.shares =
        (1..=PARTS).map(|part| (value(&sent, &format!("account{part}")).to_owned(), value(&sent, &format!("amount{part}")).to_owned())).collect();
    value(&sent, "payment").clone_into(&mut view.payment);
    (view.problem, view.note) = (Some(problem), note);
    view.answer(StatusCode::UNPROCESSABLE_ENTITY)
}

/// `POST /staff/bank/credits/{id}`: a provider's money that fits no account.
async fn decide_credit(context: web::Data<Context>, id: web::Path<i64>, sent: CheckedForm<Sent>) -> Result<HttpResponse, PageError> {
    let CheckedForm { viewer, form: sent } = sent;
    viewer.must(Permission::WorkAccounts)?;
    let acting = viewer.acting(&context);
    let id = UnappliedCreditId(*id);
    let done = match value(&sent, "decision") {
        "dismiss" => {
            let note = value(&sent, "note").to_owned();
            act(move || credits::dismiss(&acting, id, &note)).await.map(|_| "dismissed")
        }
        "assign" => match shares(&sent) {
            Ok(shares) => act(move || credits::assign(&acting, id, &shares)).await.map(|_| "credit"),
            Err(problem) => Err(PageError::Refused(problem)),
        },
        _ => return Err(PageError::Refused("decision: expected assign or dismiss".to_owned())),
    };
    let problem = match done {
        Ok(done) => return Ok(go_to(&format!("/staff/bank?done={done}.{id}"))),
        Err(PageError::Refused(problem)) => problem,
        Err(error) => refusal(error)?,
    };
    let mut view = load(&context, &viewer, &BankQuery::default()).await?;
    view.problem = Some(problem);
    page(StatusCode::UNPROCESSABLE_ENTITY, &view)
}
