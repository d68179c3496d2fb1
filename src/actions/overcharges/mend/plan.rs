//! Which way each account of a case is put right.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::NaiveDate;
use chrono_tz::Tz;

use super::AccountWay;
use crate::actions::rebill::{BillKey, LIMITED, Preview, RebillKind, preview};
use crate::actions::tariffs::load_book;
use crate::actions::{ActionError, Context};
use crate::db::mending::{self, MendedTax};
use crate::db::overcharges::FindingRow;
use crate::db::rebills::{self, StandingSegment};
use crate::db::{DbConnection, customers};
use crate::domain::billing::{SegmentInputs, TariffBook};
use crate::domain::ids::{AccountId, AgreementId, FindingId, RunId};
use crate::domain::ledger::Charged;
use crate::domain::money::Money;
use crate::domain::overcharges::{Evidence, still_to_mend};
use crate::domain::policy::{Parts, Policy, PolicyBook, back_billing};

/// An account is billed anew when no more of its bills than this have to go for that: who would get a year of bills again gets the
/// exact difference.
const MOST_BILLS: usize = 3;
/// Why nothing is posted for days that an estimate closes: the read that settles it takes off what was billed, and would do it again.
pub(super) const ESTIMATE: &str = "an estimate is part of it: the next real read puts it right";
/// So many accounts are looked at in one snapshot.
const PAGE: usize = 500;

/// How an account is put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// These bills are cancelled and billed anew.
    Rebill(Vec<BillKey>),
    /// These differences are posted.
    Correct(Vec<Part>),
    /// The balance is right: it is told what it was asked for too much.
    Tell,
    /// The policy gives nothing back, or asks for nothing: why.
    ByPolicy(String),
    /// It is left as it is: why.
    Leave(String),
}

impl Way {
    /// Whether something is done to the account beside its bills.
    pub(super) fn acts(&self) -> bool {
        !matches!(self, Self::Rebill(_) | Self::Leave(_))
    }
}

/// The difference that settles one finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) finding: FindingId,
    /// What should have been charged, less what was, as far as the policy goes.
    pub(super) difference: Charged,
    /// Why it is that much.
    pub(super) note: String,
}

/// What is done to the accounts of a case.
pub(super) struct Ways {
    pub(super) accounts: Vec<AccountWay>,
    /// How billing accounts anew moves their balances, in cents, where it was tried.
    pub(super) anew: HashMap<AccountId, i64>,
}

impl Ways {
    /// Finds the way of each account; findings come by account. Whether bills can really be made anew is tried when it is only
    /// foreseen; else doing it tells.
    pub(super) fn of(context: &Context, policies: &PolicyBook, findings: &[FindingRow], tried: bool) -> Result<Self, ActionError> {
        let book = load_book(context)?;
        let rules = Rules { policies, book: &book, zone: context.config.time_zone };
        let mut accounts = Vec::new();
        let groups: Vec<&[FindingRow]> = findings.chunk_by(|a, b| a.account_id == b.account_id).collect();
        for page in groups.chunks(PAGE) {
            let ids: Vec<AccountId> = page.iter().filter_map(|group| group.first()).map(|row| row.account_id).collect();
            accounts.extend(context.database.snapshot(|conn| {
                let known = Known::load(conn, &ids)?;
                let judge = Judge { rules: &rules, known: &known };
                page.iter().map(|group| judge.account(conn, group)).collect::<Result<Vec<_>, ActionError>>()
            })?);
        }
        let mut ways = Self { accounts, anew: HashMap::new() };
        ways.check_rebills(context, &rules, tried)?;
        ways.keep_within_largest(policies.on(context.today()));
        Ok(ways)
    }

    /// How an account's balance moves, in cents.
    pub(super) fn cents(&self, account: &AccountWay) -> i64 {
        match &account.way {
            Way::Rebill(_) => self.anew.get(&account.account_id).copied().unwrap_or_default(),
            Way::Correct(parts) => parts.iter().map(|part| part.difference.total.cents()).sum(),
            Way::Tell | Way::ByPolicy(_) | Way::Leave(_) => 0,
        }
    }

    /// Nobody gives an account more than the policy's largest credit, whoever agrees.
    fn keep_within_largest(&mut self, policy: &Policy) {
        let (largest, citation) = (policy.credits.largest, &policy.credits.citation);
        let amounts: Vec<i64> = self.accounts.iter().map(|account| self.cents(account)).collect();
        for (account, cents) in self.accounts.iter_mut().zip(amounts) {
            let credit = -Money::from_cents(cents);
            if credit > largest {
                account.way = Way::Leave(format!("{credit} is more than {largest}, the most that the policy lets anybody give ({citation})"));
            }
        }
    }

    /// The bills that are to be made anew.
    pub(super) fn to_rebill(&self) -> Vec<BillKey> {
        let of = |account: &AccountWay| if let Way::Rebill(bills) = &account.way { bills.clone() } else { Vec::new() };
        self.accounts.iter().flat_map(of).collect()
    }

    /// An account whose bills cannot be made anew, or would take too many of them along, gets the difference.
    fn check_rebills(&mut self, context: &Context, rules: &Rules<'_>, tried: bool) -> Result<(), ActionError> {
        let bills = self.to_rebill();
        if bills.is_empty() {
            return Ok(());
        }
        // What is only to be cancelled is planned without pricing anything.
        let kind = if tried { RebillKind::Rebill } else { RebillKind::Cancel };
        let foreseen: Preview = preview(context, &bills, kind)?;
        let of: HashMap<AccountId, _> = foreseen.accounts.iter().map(|account| (account.account_id, account)).collect();
        for account in self.accounts.iter_mut().filter(|account| matches!(account.way, Way::Rebill(_))) {
            let Some(foreseen) = of.get(&account.account_id) else { continue };
            if foreseen.refused.is_none() && foreseen.bills.len() <= MOST_BILLS {
                let moves = foreseen.after_cents.map(|after| after - foreseen.before_cents);
                self.anew.extend(moves.map(|cents| (account.account_id, cents)));
                continue;
            }
            let why = foreseen.refused.clone().unwrap_or_default();
            account.way = rules.otherwise(account, &why)?;
        }
        Ok(())
    }

    /// What is left to be made anew after that was tried gets the difference.
    pub(super) fn without_rebilling(
        &mut self,
        context: &Context,
        policies: &PolicyBook,
        refused: &HashMap<AccountId, String>,
    ) -> Result<(), ActionError> {
        let book = load_book(context)?;
        let rules = Rules { policies, book: &book, zone: context.config.time_zone };
        for account in self.accounts.iter_mut().filter(|account| matches!(account.way, Way::Rebill(_))) {
            let why = refused.get(&account.account_id).map_or("its bills could not be made anew", String::as_str);
            account.way = rules.otherwise(account, why)?;
        }
        Ok(())
    }
}

/// What is known of some accounts' bills.
struct Known {
    numbers: HashMap<AccountId, String>,
    segments: HashMap<AccountId, Vec<StandingSegment>>,
    /// Agreements that have ended.
    ended: HashSet<AgreementId>,
    /// Tax that credits have put right beside the bills.
    taxes: HashMap<AccountId, Vec<MendedTax>>,
}

impl Known {
    fn load(conn: &mut DbConnection, accounts: &[AccountId]) -> Result<Self, ActionError> {
        let mut segments: HashMap<AccountId, Vec<StandingSegment>> = HashMap::new();
        for segment in rebills::standing_segments(conn, accounts)? {
            segments.entry(segment.account_id).or_default().push(segment);
        }
        let mut numbers = HashMap::new();
        for account in accounts {
            numbers.insert(*account, customers::account_number(conn, *account)?);
        }
        let mut taxes: HashMap<AccountId, Vec<MendedTax>> = HashMap::new();
        for row in mending::mended_taxes(conn, accounts)? {
            taxes.entry(row.account_id).or_default().push(row);
        }
        let ended = mending::ended_agreements(conn, accounts)?.into_iter().collect();
        Ok(Self { numbers, segments, ended, taxes })
    }
}

struct Judge<'a> {
    rules: &'a Rules<'a>,
    known: &'a Known,
}

impl Judge<'_> {
    fn account(&self, conn: &mut DbConnection, findings: &[FindingRow]) -> Result<AccountWay, ActionError> {
        let account_id = findings.first().map_or(AccountId(0), |row| row.account_id);
        let number = self.known.numbers.get(&account_id).cloned().unwrap_or_default();
        let segments = self.known.segments.get(&account_id).map_or(&[][..], Vec::as_slice);
        let mended = self.known.taxes.get(&account_id).map_or(&[][..], Vec::as_slice);
        let of = |row: &FindingRow| {
            let billed: i64 = segments.iter().filter(|segment| within(segment, row)).map(|segment| segment.tax_cents).sum();
            billed + mended.iter().filter(|tax| tax.is_within(row)).map(|tax| tax.tax_cents).sum::<i64>()
        };
        let taxed = findings.iter().filter(|row| row.kind == "charge").map(|row| (row.id, of(row))).collect();
        let mut estimates = BTreeSet::new();
        for row in findings.iter().filter(|row| row.agreement_id.is_some_and(|id| !self.known.ended.contains(&id))) {
            if evidence(row)?.billed.last().is_some_and(|side| side.estimated) {
                estimates.insert(row.id);
            }
        }
        let account = AccountWay { account_id, number, findings: findings.to_vec(), taxed, estimates, way: Way::Tell };
        let way = self.way(conn, &account)?;
        Ok(AccountWay { way, ..account })
    }

    fn way(&self, conn: &mut DbConnection, account: &AccountWay) -> Result<Way, ActionError> {
        let findings = account.findings.as_slice();
        // What is only worth knowing moves nothing, and nobody is told.
        if findings.iter().all(|row| row.information == 1) {
            return Ok(Way::ByPolicy("it is only worth knowing".to_owned()));
        }
        let id = account.account_id;
        let segments = self.known.segments.get(&id).map_or(&[][..], Vec::as_slice);
        let charges = findings.iter().filter(|row| row.kind == "charge");
        if let Some(stale) = charges.clone().find(|row| billed_now(segments, row) != row.billed_cents) {
            return Ok(Way::Leave(format!("its bills have changed since finding {} was made: look for overcharges again", stale.id)));
        }
        if findings.iter().all(|row| row.kind == "payment") {
            return Ok(payments(id, segments, findings));
        }
        if findings.iter().any(|row| row.kind == "fee") || !self.rules.wholly(findings) || corrected_before(conn, id)? {
            return self.rules.correct(account);
        }
        let mut bills: Vec<BillKey> = Vec::new();
        for row in charges {
            bills.extend(segments.iter().filter(|segment| within(segment, row)).map(|segment| (segment.run_id, id)));
        }
        bills.extend(findings.iter().filter(|row| row.kind == "payment").filter_map(|row| Some((row.run_id?, id))));
        bills.sort_unstable();
        bills.dedup();
        Ok(Way::Rebill(bills))
    }
}

/// Both sides' working, as it was kept.
fn evidence(row: &FindingRow) -> Result<Evidence, ActionError> {
    serde_json::from_str(&row.evidence).map_err(|error| ActionError::Form(format!("what finding {} keeps cannot be read: {error}", row.id)))
}

fn within(segment: &StandingSegment, row: &FindingRow) -> bool {
    Some(segment.agreement_id) == row.agreement_id && segment.period_start_on < row.to_on && segment.period_end_on > row.from_on
}

/// What the bills that stand charge now for a finding's service and days.
fn billed_now(segments: &[StandingSegment], row: &FindingRow) -> i64 {
    segments.iter().filter(|segment| within(segment, row)).map(|segment| segment.total_cents).sum()
}

/// A charge that was once put right by a difference counts together with that: another bill would put it right twice.
fn corrected_before(conn: &mut DbConnection, account: AccountId) -> Result<bool, ActionError> {
    let standing = crate::db::overcharges::standing_in_range(conn, account, account)?;
    Ok(standing.iter().any(|(row, _)| row.status == "settled" && row.mended_cents != 0))
}

/// Bills that asked for too much are made anew where no right one has followed them.
fn payments(account: AccountId, segments: &[StandingSegment], findings: &[FindingRow]) -> Way {
    let wrong: BTreeSet<RunId> = findings.iter().filter_map(|row| row.run_id).collect();
    let seq = |run: &RunId| segments.iter().filter(|segment| segment.run_id == *run).filter_map(|segment| segment.bill_seq).max();
    let first_wrong = wrong.iter().filter_map(seq).min();
    let followed = segments.iter().any(|segment| segment.bill_seq > first_wrong && !wrong.contains(&segment.run_id));
    match first_wrong {
        Some(_) if !followed => Way::Rebill(wrong.into_iter().filter(|run| seq(run).is_some()).map(|run| (run, account)).collect()),
        _ => Way::Tell,
    }
}

/// By what accounts are put right.
struct Rules<'a> {
    policies: &'a PolicyBook,
    book: &'a TariffBook,
    zone: Tz,
}

impl Rules<'_> {
    /// How far back a finding is put right: counted from the day on which it was found, however long it waited since.
    fn back_billing(&self, row: &FindingRow) -> Parts {
        let found_on = row.found_at.and_utc().with_timezone(&self.zone).date_naive();
        back_billing(self.policies, found_on, row.from_on, row.to_on)
    }

    /// Whether the policy puts all of it right, in both directions: another bill does.
    fn wholly(&self, findings: &[FindingRow]) -> bool {
        let whole = |row: &FindingRow| self.back_billing(row).of(row.difference_cents) == Some((row.from_on, row.to_on));
        findings.iter().filter(|row| row.kind == "charge").all(whole)
    }

    /// How an account is put right without other bills.
    fn otherwise(&self, account: &AccountWay, why: &str) -> Result<Way, ActionError> {
        if account.findings.iter().all(|row| row.kind == "payment") {
            return Ok(if why.is_empty() || why.starts_with(LIMITED) { Way::Tell } else { Way::Leave(why.to_owned()) });
        }
        self.correct(account)
    }

    /// The exact differences, as far as the policy goes.
    fn correct(&self, account: &AccountWay) -> Result<Way, ActionError> {
        let (mut parts, mut nothing) = (Vec::new(), None);
        for row in account.findings.iter().filter(|row| row.kind != "payment" && row.information == 0) {
            let whole = match self.difference(row, account.taxed.get(&row.id).copied().unwrap_or_default())? {
                Ok(whole) => whole,
                Err(hold) => return Ok(Way::Leave(hold)),
            };
            if row.kind == "fee" {
                parts.push(Part { finding: row.id, difference: whole, note: row.detail.clone() });
                continue;
            }
            if account.estimates.contains(&row.id) {
                nothing = Some(ESTIMATE.to_owned());
                continue;
            }
            let policy = self.back_billing(row);
            match policy.of(row.difference_cents) {
                None => nothing = Some(format!("it is further back than is put right: {}", policy.citation)),
                Some(days) if days == (row.from_on, row.to_on) => parts.push(Part { finding: row.id, difference: whole, note: row.detail.clone() }),
                Some(days) => {
                    let note = format!("{}; of this, {} to {} as {} says", row.detail, days.0, days.1, policy.citation);
                    parts.push(Part { finding: row.id, difference: share(whole, days, (row.from_on, row.to_on)), note });
                }
            }
        }
        parts.retain(|part| part.difference.total != Money::default());
        let by_policy = || Way::ByPolicy(nothing.unwrap_or_else(|| "nothing is to be put right".to_owned()));
        Ok(if parts.is_empty() { by_policy() } else { Way::Correct(parts) })
    }

    /// What should have been charged, less what was and what was put right before, with its tax; or why nobody can say. `taxed` is
    /// the tax of the bills, as they were posted, with what was put right of it before.
    fn difference(&self, row: &FindingRow, taxed: i64) -> Result<Result<Charged, String>, ActionError> {
        if row.kind != "charge" {
            return Ok(Ok(Charged { total: Money::from_cents(row.difference_cents), tax: Money::default() }));
        }
        let evidence = evidence(row)?;
        let posted = Charged { total: Money::from_cents(row.billed_cents + row.mended_before_cents), tax: Money::from_cents(taxed) };
        let sides: Vec<SegmentInputs> = evidence.should.into_iter().map(|side| side.inputs).collect();
        Ok(still_to_mend(posted, Money::from_cents(row.should_cents), &sides, self.book))
    }
}

/// The part of a difference that falls on some of its days; a fraction of a cent is the customer's.
fn share(whole: Charged, days: (NaiveDate, NaiveDate), all: (NaiveDate, NaiveDate)) -> Charged {
    let (part, of) = (i128::from((days.1 - days.0).num_days()), i128::from((all.1 - all.0).num_days().max(1)));
    // Down on either side of zero: a credit is rounded up, a charge down.
    let cut = |amount: Money| Money::from_cents(i64::try_from((i128::from(amount.cents()) * part).div_euclid(of)).unwrap_or_default());
    Charged { total: cut(whole.total), tax: cut(whole.tax) }
}
