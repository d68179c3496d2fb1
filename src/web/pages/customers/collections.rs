//! What a customer sees of a pay plan, questions about bills, and deposits: a part of the account's overview.

use crate::actions::collections::view::CollectionsView;
use crate::domain::disputes::Answer;
use crate::web::text::{Currency, Day};

/// The pay plan that holds, questions, deposits.
pub(super) struct CollectionsPart {
    pub(super) plan: Option<PlanPart>,
    pub(super) asked: Vec<AskedLine>,
    /// Deposits that are held: how much, and since when.
    pub(super) deposits: Vec<(String, Day)>,
}

/// The plan.
pub(super) struct PlanPart {
    pub(super) total: String,
    pub(super) open: String,
    pub(super) instalments: Vec<InstalmentLine>,
    pub(super) grace_days: i32,
}

/// One instalment.
pub(super) struct InstalmentLine {
    pub(super) on: Day,
    pub(super) amount: String,
    pub(super) open: String,
    pub(super) is_paid: bool,
}

/// One question.
pub(super) struct AskedLine {
    pub(super) bill: String,
    pub(super) on: Day,
    pub(super) reason: String,
    /// The answer in short; none while it is open.
    pub(super) answer: Option<&'static str>,
    pub(super) answer_by: Day,
}

impl CollectionsPart {
    pub(super) fn new(view: &CollectionsView, currency: &Currency) -> Self {
        let plan = view.plan().map(|plan| PlanPart {
            total: currency.money(plan.row.total_cents),
            open: currency.money(plan.open_cents),
            grace_days: plan.row.grace_days,
            instalments: plan
                .instalments
                .iter()
                .map(|part| InstalmentLine {
                    on: Day(part.due_on),
                    amount: currency.money(part.amount_cents),
                    open: currency.money(part.open_cents),
                    is_paid: part.open_cents == 0,
                })
                .collect(),
        });
        let asked = view.disputes.iter().map(|asked| AskedLine {
            bill: asked.bill_number.clone(),
            on: Day(asked.row.asked_on),
            reason: asked.reason_words.clone(),
            answer: asked.row.answer.as_deref().and_then(|answer| answer.parse::<Answer>().ok()).map(Answer::words),
            answer_by: Day(asked.row.due_on),
        });
        let held = view.deposits.iter().filter(|deposit| deposit.row.applied_seq.is_none() && deposit.is_paid);
        Self {
            plan,
            asked: asked.collect(),
            deposits: held.map(|deposit| (currency.money(deposit.row.amount_cents), Day(deposit.row.taken_on))).collect(),
        }
    }
}
