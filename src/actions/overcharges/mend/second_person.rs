//! Who must agree to putting a case right: above the policy's bound for one account's credit a second person, to just these amounts.

use std::collections::HashMap;

use chrono::NaiveDate;

use super::plan::{Way, Ways};
use crate::actions::approvals::{Amounts, Permit, Waiting, permit_within, waiting_for, why_two, why_two_of};
use crate::actions::{ActionError, Context};
use crate::db::overcharges::CaseRow;
use crate::db::{DbConnection, mending};
use crate::domain::ids::{AccountId, ApprovalId, CaseId};
use crate::domain::money::Money;
use crate::domain::policy::PolicyBook;

/// What accounts of a case get, as it was decided.
pub(super) struct Agreed {
    /// What is still to be done.
    pub(super) open: Amounts,
    /// That, and what is done already: the same from the first account to the last, whatever interrupts it.
    whole: Amounts,
    /// Why a second person must agree; none when one is enough.
    pub(super) why: Option<String>,
}

/// Under what the approval of a case is kept.
fn reference(case: CaseId) -> String {
    format!("case:{case}:")
}

/// The request that waits for a second person.
pub(super) fn waiting(context: &Context, case: CaseId) -> Result<Option<ApprovalId>, ActionError> {
    waiting_for(context, &reference(case))
}

impl Agreed {
    /// What a case comes to as things stand.
    pub(super) fn of(context: &Context, case: CaseId, policies: &PolicyBook, ways: &Ways) -> Result<Self, ActionError> {
        let open = Amounts(ways.accounts.iter().map(|account| (account.account_id, ways.cents(account))).collect());
        let mut whole = open.clone();
        for row in context.database.read(|conn| mending::done_amounts(conn, case))? {
            *whole.0.entry(row.account_id).or_default() += row.cents;
        }
        let why = why_two_of(policies.on(context.today()), &open);
        Ok(Self { open, whole, why })
    }

    /// Asks a second person, where one must agree and has not yet; within the transaction that holds the case.
    pub(super) fn ask_within(&self, conn: &mut DbConnection, context: &Context, case: &CaseRow) -> Result<Option<Waiting>, ActionError> {
        let Some(why) = &self.why else { return Ok(None) };
        let accounts = self.open.0.values().filter(|cents| **cents != 0).count();
        let permit = Permit {
            kind: "mend_case".to_owned(),
            account: None,
            amount: self.open.total()?,
            reference: format!("{}{}", reference(case.id), self.whole.hash()),
            subject: format!("case {} of overcharges put right: {accounts} accounts, {} at most for one", case.id, self.open.largest_credit()),
            note: format!("{} {}", case.cause, case.subject),
            shares: self.open.shares(conn)?,
            case: Some(case.id),
        };
        permit_within(conn, context, &permit, why)
    }

    /// Leaves the accounts as they are that would get something else now: where a second person agreed, all of them; else those of
    /// which one would have to.
    pub(super) fn hold(&self, policies: &PolicyBook, today: NaiveDate, ways: &mut Ways) {
        let now: HashMap<AccountId, i64> = ways.accounts.iter().map(|account| (account.account_id, ways.cents(account))).collect();
        for account in &mut ways.accounts {
            let cents = now.get(&account.account_id).copied().unwrap_or_default();
            let changed = self.open.0.get(&account.account_id) != Some(&cents);
            let matters = self.why.is_some() || why_two(policies.on(today), Money::from_cents(cents)).is_some();
            if changed && matters && account.way.acts() {
                account.way = Way::Leave("what it comes to has changed since it was approved: put the case right once more".to_owned());
            }
        }
    }
}
