//! Work on many accounts at once, such as putting a case of overcharges right: what one account gets decides whether a second person
//! must agree, and what was agreed to is named by a hash of every account's amount.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::who::who_is;
use super::{ActionError, Context, Permit, Share, Waiting, Wanted, must_be_staff, second_person, store};
use crate::actions::policy::policies_within;
use crate::actions::refunds::CameBack;
use crate::db::approvals as rows;
use crate::db::{DbConnection, customers};
use crate::domain::ids::{AccountId, ApprovalId};
use crate::domain::money::Money;
use crate::domain::policy::Policy;
use sha2::{Digest, Sha256};

/// How often the same may be asked for after it was not approved.
const ASKED_AGAIN: u32 = 100;
/// Of so many accounts a request tells what each gets.
pub const SHARES: usize = 50;

/// How each account's balance moves: below zero is a credit. Whatever is decided about it is decided about just this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::actions) struct Amounts(pub(in crate::actions) BTreeMap<AccountId, i64>);

impl Amounts {
    /// The same for the same amounts, and for no others.
    pub(in crate::actions) fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for (account, cents) in self.0.iter().filter(|(_, cents)| **cents != 0) {
            hash.update(account.0.to_be_bytes());
            hash.update(cents.to_be_bytes());
        }
        data_encoding::HEXLOWER.encode(hash.finalize().get(..16).unwrap_or_default())
    }

    /// What accounts get or are charged, the largest amounts first: whoever decides sees whom it is about.
    pub(in crate::actions) fn shares(&self, conn: &mut DbConnection) -> Result<Vec<Share>, ActionError> {
        let mut moved: Vec<(AccountId, i64)> = self.0.iter().map(|(account, cents)| (*account, *cents)).filter(|(_, cents)| *cents != 0).collect();
        moved.sort_by_key(|(account, cents)| (Reverse(cents.unsigned_abs()), *account));
        let share = |(account, cents)| Ok(Share { account: customers::account_number(conn, account)?, amount: Money::from_cents(cents) });
        moved.into_iter().take(SHARES).map(share).collect()
    }

    /// How all balances move together.
    pub(in crate::actions) fn total(&self) -> Result<Money, ActionError> {
        let sum = Money::checked_sum(self.0.values().map(|cents| Money::from_cents(*cents)));
        sum.ok_or_else(|| ActionError::Refused("amount: it is too large".to_owned()))
    }

    /// What the account gets that gets most.
    pub(in crate::actions) fn largest_credit(&self) -> Money {
        self.0.values().map(|cents| Money::from_cents(cents.saturating_neg())).max().unwrap_or_default().max(Money::ZERO)
    }
}

/// Why one person may not move an account's balance by so much alone; none when one is enough.
pub(in crate::actions) fn why_two(policy: &Policy, movement: Money) -> Option<String> {
    let rule = &policy.credits;
    if -movement > rule.approval_above {
        return Some(format!("an account gets {}, more than {} ({})", -movement, rule.approval_above, rule.citation));
    }
    let limit = rule.charge_above();
    (movement > limit).then(|| format!("an account is charged {movement}, more than {limit} ({})", rule.citation))
}

/// Why one person may not do all of it alone; none when one is enough.
pub(in crate::actions) fn why_two_of(policy: &Policy, amounts: &Amounts) -> Option<String> {
    let why = |cents: Option<&i64>| why_two(policy, Money::from_cents(*cents?));
    // The largest credit, else the largest charge.
    why(amounts.0.values().min().filter(|cents| **cents < 0)).or_else(|| why(amounts.0.values().max()))
}

/// Why one person may not say alone that these payouts came back, how much each; none when one is enough. All of them count
/// together, and those of an account together with what one person gave it before.
///
/// # Errors
/// [`ActionError::Refused`] when one of them is more than the policy lets anybody give.
pub(in crate::actions) fn why_two_back(
    conn: &mut DbConnection,
    context: &Context,
    policy: &Policy,
    back: &[(AccountId, CameBack, Money)],
) -> Result<Option<String>, ActionError> {
    let mut accounts: BTreeMap<AccountId, (Wanted, Money)> = BTreeMap::new();
    let mut total = Money::ZERO;
    let too_large = || ActionError::Refused("amount: it is too large".to_owned());
    for (account, wish, amount) in back {
        let wanted = Wanted::CameBack(wish.clone());
        wanted.fits_largest(policy, -*amount)?;
        total = total.checked_add(*amount).ok_or_else(too_large)?;
        let (_, sum) = accounts.entry(*account).or_insert((wanted, Money::ZERO));
        *sum = sum.checked_add(*amount).ok_or_else(too_large)?;
    }
    let rule = &policy.credits;
    if total > rule.approval_above {
        return Ok(Some(format!("{total} is more than {} ({})", rule.approval_above, rule.citation)));
    }
    let who = who_is(conn, &context.actor)?;
    for (account, (wanted, sum)) in accounts {
        if let Some(why) = second_person(conn, context, policy, &wanted, (Some(account), -sum), &who)? {
            return Ok(Some(why));
        }
    }
    Ok(None)
}

/// Whether work is approved; else the request that waits, which is made when there is none. What was rejected, withdrawn or not
/// decided in time can be asked for once more.
///
/// # Errors
/// [`ActionError::Refused`] when whoever asks is not known by a sign-in.
pub(in crate::actions) fn permit_within(
    conn: &mut DbConnection,
    context: &Context,
    wanted: &Permit,
    why: &str,
) -> Result<Option<Waiting>, ActionError> {
    let now = context.now();
    for number in 1..=ASKED_AGAIN {
        let permit = Permit { reference: format!("{}:{number}", wanted.reference), ..wanted.clone() };
        let Some(row) = rows::by_reference(conn, &permit.reference)? else {
            let who = who_is(conn, &context.actor)?;
            must_be_staff(&who, why)?;
            let policy = policies_within(conn)?.on(context.today()).clone();
            let (amount, reason) = (permit.amount, permit.kind.clone());
            return store(conn, context, &policy, &Wanted::Permit(permit), (None, amount, reason), (why.to_owned(), who)).map(Some);
        };
        match rows::decision(conn, row.id)? {
            None if now <= row.expires_at => {
                return Ok(Some(Waiting { id: row.id, why: row.why, expires_at: row.expires_at, unchanged: true }));
            }
            Some(decision) if decision.decision == "approved" && row.kind == wanted.kind => return Ok(None),
            _ => {}
        }
    }
    Err(ActionError::Refused("it was asked for too often: whoever rejects it must be asked why".to_owned()))
}

/// How the refusal begins of what waits for a second person.
pub const WAITS: &str = "it waits for a second person";

/// What somebody is told whose work waits.
pub(in crate::actions) fn waits(waiting: &Waiting) -> ActionError {
    ActionError::Refused(format!(
        "{WAITS} as request {}: {}. Nothing was changed; once it is approved, do the same again and it is done (request {} is at /staff/approvals/{}, \
         and in `aquabills approvals show {}`)",
        waiting.id, waiting.why, waiting.id, waiting.id, waiting.id
    ))
}

/// The request that waits for work whose references begin like this.
///
/// # Errors
/// Those of the database.
pub(in crate::actions) fn waiting_for(context: &Context, beginning: &str) -> Result<Option<ApprovalId>, ActionError> {
    Ok(context.database.read(|conn| rows::undecided_of(conn, beginning, context.now()))?)
}
