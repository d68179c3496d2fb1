//! What a customer of a case is told: what was asked for or charged, what is right, and what went wrong, in one sentence.

use std::collections::BTreeMap;

use crate::actions::Context;
use crate::db::overcharges::FindingRow;
use crate::domain::ids::{AccountId, CaseId, FindingId, RunId};
use crate::domain::notices::{Addressee, Facts, NewNotice, OverchargeCorrected};
use crate::domain::overcharges::Cause;

/// What an account's findings come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::actions) struct Told {
    /// Whether it is what was asked for; else charges.
    pub(in crate::actions) asked: bool,
    pub(in crate::actions) before_cents: i64,
    pub(in crate::actions) after_cents: i64,
    pub(in crate::actions) cause: String,
}

impl Told {
    /// From an account's findings, and what was posted for each of them where that is less than the whole of it.
    pub(super) fn of(findings: &[FindingRow], given: &BTreeMap<FindingId, i64>) -> Self {
        let cause = findings.first().and_then(|row| row.cause.parse::<Cause>().ok()).map(in_a_sentence).unwrap_or_default().to_owned();
        let charges: Vec<&FindingRow> = findings.iter().filter(|row| row.kind != "payment").collect();
        if charges.is_empty() {
            return Self { cause, ..asked(findings) };
        }
        let before_cents = charges.iter().map(|row| row.billed_cents + row.mended_before_cents).sum();
        let change: i64 =
            charges.iter().map(|row| if given.is_empty() { row.difference_cents } else { given.get(&row.id).copied().unwrap_or_default() }).sum();
        Self { asked: false, before_cents, after_cents: before_cents + change, cause }
    }

    /// The facts of its notice, when no other bill comes.
    pub(super) fn facts(self, balance_cents: i64) -> OverchargeCorrected {
        OverchargeCorrected {
            asked: self.asked,
            before_cents: self.before_cents,
            after_cents: self.after_cents,
            cause: self.cause,
            balance_cents,
            ..OverchargeCorrected::default()
        }
    }
}

/// What the last of the wrong bills asked for, and what it should have. Several payments may be missing in one bill.
fn asked(findings: &[FindingRow]) -> Told {
    let mut runs: BTreeMap<Option<RunId>, (i64, i64)> = BTreeMap::new();
    for row in findings {
        let entry = runs.entry(row.run_id).or_insert((row.billed_cents, 0));
        entry.1 += row.difference_cents;
    }
    let (before_cents, change) = runs.into_values().next_back().unwrap_or_default();
    Told { asked: true, before_cents, after_cents: before_cents + change, cause: String::new() }
}

/// The notice of an account of a case: one for each.
pub(in crate::actions) fn notice(context: &Context, case: CaseId, account: AccountId, facts: OverchargeCorrected) -> NewNotice {
    NewNotice { key: key(case, account), to: Addressee::Account(account), happened_on: context.today(), facts: Facts::OverchargeCorrected(facts) }
}

/// The key of that notice.
pub(in crate::actions) fn key(case: CaseId, account: AccountId) -> String {
    format!("overcharge:{case}:{account}")
}

/// What went wrong, for the customer.
fn in_a_sentence(cause: Cause) -> &'static str {
    match cause {
        Cause::Price => "The bill was added up wrongly.",
        Cause::DuplicatedRead => "A reading of your meter was counted twice.",
        Cause::SwappedMeters => "Your meter and another one were mixed up.",
        Cause::Meter => "You were billed by a meter that is not yours.",
        Cause::Multiplier => "What your meter counts was multiplied by a wrong number.",
        Cause::Register => "The unit or the digits of your meter were recorded wrongly.",
        Cause::Read => "A reading of your meter was wrong.",
        Cause::Estimate => "An estimated reading of your meter was put right.",
        Cause::TariffDate => "A change of rates was applied from a wrong day on.",
        Cause::TariffText => "A rate was recorded wrongly.",
        Cause::RateClass => "You were billed by a rate that is not yours.",
        Cause::Attributes => "Something that your rate depends on, such as the size of your meter, was recorded wrongly.",
        Cause::Winter => "The winter use that you are charged by was wrong.",
        Cause::Dates => "The days of your service were recorded wrongly.",
        Cause::LatePayment => "A payment of yours had reached us and was not taken off.",
        Cause::FeeReversed => "A fee was charged for something that turned out otherwise.",
        Cause::Several | Cause::Other => "",
    }
}
