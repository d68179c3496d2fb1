//! Overcharges: every standing bill is derived again from what is known today, and what differs becomes a finding.
//!
//! [`scan`] looks at everything ([`nightly`] says when), [`queue`] at what a correction touched; [`cases`] shows what was found,
//! [`mend`] puts it right.

pub mod cases;
mod facts;
pub mod mend;
mod money;
pub mod nightly;
pub mod queue;
mod recompute;
pub mod scan;

use chrono::NaiveDate;

use crate::db::overcharges::FindingRow;
use crate::domain::ids::{AccountId, AgreementId, RunId};
use crate::domain::overcharges::compare::Interval;
use crate::domain::overcharges::{FindingKind, Reason};

/// A difference as a scan sees it, before it is held against what is stored.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    /// What it is about, whatever it comes to.
    key: String,
    kind: FindingKind,
    account: AccountId,
    agreement: Option<AgreementId>,
    run: Option<RunId>,
    from_on: NaiveDate,
    to_on: NaiveDate,
    billed_cents: i64,
    mended_cents: i64,
    should_cents: i64,
    /// Only worth knowing.
    information: bool,
    reason: Reason,
    /// As JSON.
    evidence: String,
}

impl Seen {
    /// What a stored finding saw; none when its cause has a name that is no longer known.
    fn of(row: &FindingRow, subject: &str) -> Option<Self> {
        Some(Self {
            key: row.finding_key.clone(),
            kind: row.kind.parse().ok()?,
            account: row.account_id,
            agreement: row.agreement_id,
            run: row.run_id,
            from_on: row.from_on,
            to_on: row.to_on,
            billed_cents: row.billed_cents,
            mended_cents: row.mended_before_cents,
            should_cents: row.should_cents,
            information: row.information == 1,
            reason: Reason { cause: row.cause.parse().ok()?, subject: subject.to_owned(), detail: row.detail.clone() },
            evidence: row.evidence.clone(),
        })
    }

    /// Whether it is what an interval comes to.
    fn is_of(&self, interval: &Interval) -> bool {
        (self.billed_cents, self.mended_cents, self.should_cents) == (interval.billed_cents, interval.mended_cents, interval.should_cents)
    }
}

/// A service that cannot be judged, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Unjudged {
    /// The account's number.
    pub account: String,
    /// The service's id in files.
    pub service_id: String,
    /// Why.
    pub reason: String,
    /// The agreement.
    #[serde(skip)]
    agreement: AgreementId,
}
