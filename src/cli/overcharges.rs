//! `aquabills overcharges`: what was billed beside what should have been.

use clap::Subcommand;

use super::print;
use super::{Failure, Global};
use crate::actions::Context;
use crate::actions::overcharges::cases::{self, CaseView, FindingView};
use crate::actions::overcharges::mend::{MendReport, Mending, foresee, mend};
use crate::actions::overcharges::scan::{ScanReport, scan_account, scan_all};
use crate::actions::stop::Stop;
use crate::db::overcharges::OpenSums;
use crate::domain::ids::{CaseId, FindingId};
use crate::domain::money::Money;

/// Derives every bill again and shows what was charged wrongly.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Derives bills again; the exit status is 1 when anything is open
    Scan {
        /// Only this account's
        #[arg(long, value_name = "NUMBER")]
        account: Option<String>,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Lists the cases: what is to be done first, then the most money
    List {
        /// Also those that are closed
        #[arg(long)]
        all: bool,
        /// How many
        #[arg(long, default_value_t = 100)]
        limit: i64,
        /// Passes over so many
        #[arg(long, default_value_t = 0)]
        offset: i64,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Shows one case with its findings
    Show {
        /// The case's number
        case: i64,
        /// Begins after this finding
        #[arg(long, default_value_t = 0)]
        after: i64,
        /// How many findings
        #[arg(long, default_value_t = 100)]
        limit: i64,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Puts a case right: recent bills are made anew, older charges get the exact difference; each customer gets one e-mail
    Mend {
        /// The case's number
        case: i64,
        /// Shows what it would come to, and changes nothing
        #[arg(long)]
        dry_run: bool,
        /// Makes bills anew although a gate failed, for this reason
        #[arg(long, value_name = "REASON")]
        override_gates: Option<String>,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Says that nothing is to be done about a case: the same differences are not found again
    Dismiss {
        /// The case's number
        case: i64,
        /// Why
        #[arg(long)]
        note: String,
    },
}

/// No list is longer than this.
const LONGEST: i64 = 100_000;

pub(super) fn run(global: &Global, args: &Args) -> Result<bool, Failure> {
    let context = global.existing()?;
    match &args.command {
        Command::Scan { account, json } => scan(&context, account.as_deref(), *json),
        Command::List { all, limit, offset, json } => {
            let listed = cases::list(&context, *all, (*offset).max(0), (*limit).clamp(1, LONGEST))?;
            if *json {
                print::json(&serde_json::json!({ "cases": listed }))?;
            } else {
                show_cases(&listed)?;
            }
            Ok(true)
        }
        Command::Show { case, after, limit, json } => {
            let (case, findings) = cases::show(&context, CaseId(*case), FindingId(*after), (*limit).clamp(1, LONGEST))?;
            if *json {
                print::json(&serde_json::json!({ "case": case, "findings": findings }))?;
            } else {
                show_cases(std::slice::from_ref(&case))?;
                findings.iter().try_for_each(show_finding)?;
            }
            Ok(true)
        }
        Command::Mend { case, dry_run, override_gates, json } => {
            let bar = print::progress("putting right");
            let wanted = Mending {
                case: CaseId(*case),
                override_gates: override_gates.clone(),
                progress: &|step, done, all| print::show_step(&bar, step, done, all),
            };
            let outcome = if *dry_run { foresee(&context, wanted.case) } else { mend(&context, &wanted, &Stop::default()) };
            bar.finish_and_clear();
            let report = outcome?;
            if *json {
                print::json(&report)?;
            } else {
                show_mending(&report)?;
            }
            Ok(report.is_complete())
        }
        Command::Dismiss { case, note } => {
            let dismissed = cases::dismiss(&context, CaseId(*case), note)?;
            print::line(&format!("case {case} is dismissed with {}", print::count(u64::try_from(dismissed).unwrap_or(0), "finding")))?;
            Ok(true)
        }
    }
}

fn scan(context: &Context, account: Option<&str>, json: bool) -> Result<bool, Failure> {
    let bar = print::progress("looking");
    let report = match account {
        Some(number) => scan_account(context, number),
        None => scan_all(context, &|done, all| print::show_parts(&bar, done, all)),
    };
    bar.finish_and_clear();
    let report = report?;
    let listed = cases::list(context, false, 0, 1_000)?;
    if json {
        let mut object = serde_json::to_value(&report).map_err(|error| Failure::No(error.to_string()))?;
        object["list"] = serde_json::to_value(&listed).map_err(|error| Failure::No(error.to_string()))?;
        print::json(&object)?;
    } else {
        show_scan(&report, &listed)?;
    }
    Ok(report.is_clean())
}

fn show_scan(report: &ScanReport, listed: &[CaseView]) -> Result<(), Failure> {
    print::message(&format!(
        "{} looked at: {} new, {} no longer there",
        print::count(report.services, "service"),
        print::count(report.found, "finding"),
        report.gone
    ));
    for service in &report.first_unjudged {
        print::message(&format!("account {}, service {} cannot be judged: {}", service.account, service.service_id, service.reason));
    }
    show_cases(listed)?;
    print::line(&sums(&report.open))
}

fn sums(open: &OpenSums) -> String {
    let number = |count: i64| u64::try_from(count).unwrap_or(0);
    if open.findings == 0 {
        return "every bill is what it should be".to_owned();
    }
    format!(
        "{} open in {} of {}: {} charged too much, {} too little, {} asked for too much",
        print::count(number(open.findings), "finding"),
        print::count(number(open.cases), "case"),
        print::count(number(open.accounts), "account"),
        Money::from_cents(open.over_cents),
        Money::from_cents(open.under_cents),
        Money::from_cents(open.asked_cents)
    )
}

fn show_cases(listed: &[CaseView]) -> Result<(), Failure> {
    for case in listed {
        let row = &case.row;
        let accounts = print::count(u64::try_from(row.accounts).unwrap_or(0), "account");
        print::line(&format!(
            "{:>6}  {:<9} {:<34} {:<40} {accounts:>14}  too much {:>12}  too little {:>12}{}",
            row.id,
            row.status,
            case.title,
            row.subject,
            case.over(),
            case.under(),
            if row.asked_cents == 0 { String::new() } else { format!("  asked too much {:>12}", Money::from_cents(row.asked_cents)) }
        ))?;
    }
    Ok(())
}

fn show_finding(finding: &FindingView) -> Result<(), Failure> {
    let row = &finding.row;
    let service = row.service_id.as_deref().map(|service| format!(", service {service}")).unwrap_or_default();
    let money = Money::from_cents;
    print::line(&format!(
        "\n{:>6}  account {}{service}, {} to {}: billed {}, should be {}, difference {} ({})",
        row.id,
        row.account,
        row.from_on,
        row.to_on,
        money(row.billed_cents + row.mended_before_cents),
        money(row.should_cents),
        money(row.difference_cents),
        row.status
    ))?;
    print::line(&format!("        {}", row.detail))
}

fn show_mending(report: &MendReport) -> Result<(), Failure> {
    let count = |number: usize| print::count(u64::try_from(number).unwrap_or(u64::MAX), "account");
    let status = if report.dry_run { "what it would come to".to_owned() } else { report.status.clone() };
    print::line(&format!("case {}: {status}", report.case_id))?;
    print::line(&format!("  billed anew: {}", count(report.rebilled)))?;
    let total = Money::from_cents(report.credited_cents);
    print::line(&format!("  the exact difference: {}, {total} in all (a credit is negative)", count(report.credited)))?;
    print::line(&format!("  told only, the balance is right: {}", count(report.told)))?;
    print::line(&format!("  nothing, as the policy says: {}", count(report.by_policy)))?;
    print::line(&format!("  left as they are: {}", count(report.left)))?;
    if let Some(why) = &report.second_person {
        print::line(&format!("  a second person must agree to it: {why}"))?;
    }
    if let Some(id) = report.waits_for {
        print::line(&format!("  it waits for a second person as request {id}: `aquabills approvals show {id}`"))?;
    }
    for left in &report.first_left {
        print::line(&format!("    account {}: {}", left.account, left.reason))?;
    }
    Ok(())
}
