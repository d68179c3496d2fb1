//! The utility's policy: what it does about credits, refunds, old mistakes, late payers, deposits, pay plans, leaks and disputes.
//!
//! A policy is a TOML file with the day from which it holds, imported as a version that is never edited, like a tariff. Each
//! section names its authority in `citation`. One file for each section; what a section means stands there. A file need not
//! have every section: without one, credits, refunds and back-billing go by the careful rules built in here, and what the
//! others speak of is not done by itself.
//!
//! ```toml
//! title = "Customer accounts policy"
//! effective_on = 2026-07-01
//!
//! [credits]
//! citation = "Board resolution 2026-14, section 3"
//! approval_above = "100.00"
//! approval_total_above = "250.00"
//! approval_days = 30
//! approvers = ["supervisor"]
//! request_days = 14
//! largest = "5000.00"
//! ```

pub mod amount;
mod back_billing;
mod credits;
mod deposits;
mod disputes;
mod dunning;
mod late_fees;
mod leak_relief;
mod pay_plans;
mod refunds;

use chrono::NaiveDate;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

pub use back_billing::{BackBilling, Parts, back_billing};
pub use credits::Credits;
pub use deposits::Deposits;
pub use disputes::Disputes;
pub use dunning::{Dunning, DunningStep};
pub use late_fees::LateFees;
pub use leak_relief::{Compare, LeakRelief};
pub use pay_plans::PayPlans;
pub use refunds::{PayoutFormat, Refunds, ReturnWindows};

/// One version of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What it is called.
    pub title: String,
    /// The first day on which it holds.
    #[serde(deserialize_with = "amount::day")]
    pub effective_on: NaiveDate,
    /// Credits that staff gives, and who else must agree.
    #[serde(default)]
    pub credits: Credits,
    /// Money given back.
    #[serde(default)]
    pub refunds: Refunds,
    /// How far back a mistake is put right.
    #[serde(default)]
    pub back_billing: BackBilling,
    /// Fees for paying late. Without the section none is charged.
    pub late_fees: Option<LateFees>,
    /// Reminders and what follows them. Without the section none is sent.
    pub dunning: Option<Dunning>,
    /// Deposits. Without the section none is asked for.
    pub deposits: Option<Deposits>,
    /// Plans to pay by instalments. Without the section none is made.
    pub pay_plans: Option<PayPlans>,
    /// Relief after a leak. Without the section none is reckoned.
    pub leak_relief: Option<LeakRelief>,
    /// Disputes of bills. Without the section only what holds for every dispute applies.
    pub disputes: Option<Disputes>,
    /// The hash of its text; empty for the built-in rules.
    #[serde(skip)]
    pub sha256: String,
}

/// Why a text is not a policy. The file's name is added by who read it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// A key is unknown, missing, or has a value of the wrong kind.
    #[error("line {line}{}: {message}", section_words(.section))]
    Form {
        /// Line, from 1.
        line: usize,
        /// The section that the line belongs to; empty above the first.
        section: String,
        /// The key and what was expected.
        message: String,
    },
    /// A value is out of its range.
    #[error("section [{section}]: {message}")]
    Value {
        /// The section.
        section: &'static str,
        /// The key, what it says and what was expected.
        message: String,
    },
}

fn section_words(section: &str) -> String {
    if section.is_empty() { String::new() } else { format!(", section [{section}]") }
}

impl Policy {
    /// The rules that hold while the utility has imported none.
    #[must_use]
    pub fn built_in() -> Self {
        Self {
            title: "Built-in careful rules".to_owned(),
            effective_on: NaiveDate::MIN,
            credits: Credits::default(),
            refunds: Refunds::default(),
            back_billing: BackBilling::default(),
            late_fees: None,
            dunning: None,
            deposits: None,
            pay_plans: None,
            leak_relief: None,
            disputes: None,
            sha256: String::new(),
        }
    }

    /// Reads a policy's text.
    ///
    /// # Errors
    /// [`PolicyError`] with the place, the key and what was expected.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let mut policy: Self = toml::from_str(text).map_err(|error| form_error(text, &error))?;
        policy.check()?;
        policy.sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
        Ok(policy)
    }

    fn check(&self) -> Result<(), PolicyError> {
        let of = |section: &'static str, outcome: Result<(), String>| outcome.map_err(|message| PolicyError::Value { section, message });
        of("credits", self.credits.check())?;
        of("refunds", self.refunds.check())?;
        of("back_billing", self.back_billing.check())?;
        of("late_fees", self.late_fees.as_ref().map_or(Ok(()), LateFees::check))?;
        of("dunning", self.dunning.as_ref().map_or(Ok(()), Dunning::check))?;
        of("deposits", self.deposits.as_ref().map_or(Ok(()), Deposits::check))?;
        of("pay_plans", self.pay_plans.as_ref().map_or(Ok(()), PayPlans::check))?;
        of("leak_relief", self.leak_relief.as_ref().map_or(Ok(()), LeakRelief::check))?;
        of("disputes", self.disputes.as_ref().map_or(Ok(()), Disputes::check))
    }

    /// Every section that the policy has, or that has built-in rules, with its authority.
    #[must_use]
    pub fn citations(&self) -> Vec<(&'static str, &str)> {
        let others = [
            ("late_fees", self.late_fees.as_ref().map(|section| section.citation.as_str())),
            ("dunning", self.dunning.as_ref().map(|section| section.citation.as_str())),
            ("deposits", self.deposits.as_ref().map(|section| section.citation.as_str())),
            ("pay_plans", self.pay_plans.as_ref().map(|section| section.citation.as_str())),
            ("leak_relief", self.leak_relief.as_ref().map(|section| section.citation.as_str())),
            ("disputes", self.disputes.as_ref().map(|section| section.citation.as_str())),
        ];
        let always = [
            ("credits", self.credits.citation.as_str()),
            ("refunds", self.refunds.citation.as_str()),
            ("back_billing", self.back_billing.citation.as_str()),
        ];
        always.into_iter().chain(others.into_iter().filter_map(|(name, citation)| citation.map(|citation| (name, citation)))).collect()
    }
}

/// The line and the section of an error of form.
fn form_error(text: &str, error: &toml::de::Error) -> PolicyError {
    let offset = error.span().map_or(0, |span| span.start).min(text.len());
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let header = |line: &str| line.trim().strip_prefix('[').and_then(|rest| rest.split(']').next()).map(|name| name.trim_matches('[').to_owned());
    let section = text.lines().take(line).filter_map(header).last().unwrap_or_default();
    PolicyError::Form { line, section, message: error.message().to_owned() }
}

/// An authority must be named.
fn cited(citation: &str) -> Result<(), String> {
    if citation.trim().is_empty() {
        return Err("citation: it is empty: expected the law, tariff rule or resolution that the section follows".to_owned());
    }
    Ok(())
}

/// A number must be in its range.
fn within(key: &str, value: u32, range: std::ops::RangeInclusive<u32>) -> Result<(), String> {
    if range.contains(&value) { Ok(()) } else { Err(format!("{key}: {value} found; expected {} to {}", range.start(), range.end())) }
}

/// Every version of the policy; which one holds depends on the day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyBook {
    /// By day, and for one day in the order of their revisions.
    versions: Vec<Policy>,
    built_in: Policy,
}

impl Default for PolicyBook {
    fn default() -> Self {
        Self { versions: Vec::new(), built_in: Policy::built_in() }
    }
}

impl PolicyBook {
    /// Adds a version. Of two for the same day the one that was added later holds.
    pub fn add(&mut self, policy: Policy) {
        let at = self.versions.partition_point(|known| known.effective_on <= policy.effective_on);
        self.versions.insert(at, policy);
    }

    /// The policy in force on a day; the built-in careful rules before the first version.
    #[must_use]
    pub fn on(&self, day: NaiveDate) -> &Policy {
        self.versions.iter().rev().find(|policy| policy.effective_on <= day).unwrap_or(&self.built_in)
    }

    /// The version with a hash, or the built-in rules.
    #[must_use]
    pub fn by_sha256(&self, sha256: &str) -> Option<&Policy> {
        self.versions.iter().chain([&self.built_in]).find(|policy| policy.sha256 == sha256)
    }

    /// Every version, the oldest first.
    #[must_use]
    pub fn versions(&self) -> &[Policy] {
        &self.versions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Money;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn with(sections: &str) -> String {
        format!("title = \"Test\"\neffective_on = 2026-07-01\n{sections}")
    }

    const CREDITS: &str = "[credits]\ncitation = \"R1\"\napproval_above = \"50.00\"\napproval_total_above = \"80.00\"\napproval_days = 30\n\
        approvers = [\"supervisor\"]\nrequest_days = 14\nlargest = \"5000.00\"\n";

    #[test]
    fn a_policy_holds_from_its_day_until_the_next() {
        let mut book = PolicyBook::default();
        assert_eq!(book.on(day("2026-07-01")).title, "Built-in careful rules");
        book.add(Policy::parse(&with(CREDITS)).unwrap());
        let later = with(CREDITS).replace("2026-07-01", "2027-01-01").replace("50.00", "60.00");
        book.add(Policy::parse(&later).unwrap());
        let above = |on: &str| book.on(day(on)).credits.approval_above;
        assert_eq!(above("2026-06-30"), Money::from_cents(10_000));
        assert_eq!(above("2026-07-01"), Money::from_cents(5_000));
        assert_eq!(above("2026-12-31"), Money::from_cents(5_000));
        assert_eq!(above("2027-01-01"), Money::from_cents(6_000));
        book.add(Policy::parse(&later.replace("60.00", "70.00")).unwrap());
        assert_eq!(book.on(day("2027-01-01")).credits.approval_above, Money::from_cents(7_000), "the later revision of a day holds");
    }

    #[test]
    fn what_is_wrong_is_told_with_line_section_key_and_what_was_expected() {
        let fault = |text: &str| Policy::parse(text).unwrap_err().to_string();
        let unknown = fault(&with(&format!("{CREDITS}colour = 1\n")));
        assert!(unknown.starts_with("line 11, section [credits]: unknown field `colour`, expected one of `citation`"), "{unknown}");
        let missing = fault(&with(&CREDITS.replace("citation = \"R1\"\n", "")));
        assert!(missing.contains("section [credits]: missing field `citation`"), "{missing}");
        let empty = fault(&with(&CREDITS.replace("R1", " ")));
        assert_eq!(empty, "section [credits]: citation: it is empty: expected the law, tariff rule or resolution that the section follows");
        let float = fault(&with(&CREDITS.replace("\"50.00\"", "50.00")));
        assert!(float.contains("line 5, section [credits]") && float.contains("an amount in quotes, like \"100.00\""), "{float}");
        let cents = fault(&with(&CREDITS.replace("50.00", "50.001")));
        assert!(cents.contains("fraction of a cent"), "{cents}");
        let nobody = fault(&with(&CREDITS.replace("\"supervisor\"", "\"clerk\"")));
        assert!(nobody.contains("approvers"), "{nobody}");
        assert!(fault(&with("[late_fee]\n")).contains("late_fee"));
        assert!(
            fault("title = \"x\"\neffective_on = \"soon\"\n").contains("effective_on")
                || fault("title = \"x\"\neffective_on = \"soon\"\n").contains("line 2")
        );
    }
}
