//! The statement that the utility's bank gives for a day: what the sandbox paid out, as BAI2 or ISO 20022 camt.053.
//!
//! The account holds nothing but payouts, so the opening balance of a day is the sum of those before it.

use chrono::{DateTime, NaiveDate};

use super::acts::Refusal;
use super::model::Payout;
use super::state::State;

/// The utility's account with its bank.
const ACCOUNT: &str = "000123456789";

/// A format of bank statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Bai2,
    Camt053,
}

impl Format {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        match text {
            "bai2" => Ok(Self::Bai2),
            "camt053" => Ok(Self::Camt053),
            other => Err(Refusal::invalid("format", format!("format: '{}': expected bai2 or camt053", other.escape_default()))),
        }
    }
}

struct Day<'a> {
    date: NaiveDate,
    currency: String,
    opening_cents: i64,
    closing_cents: i64,
    payouts: Vec<&'a Payout>,
}

/// The statement of a day.
pub(super) fn statement(state: &State, format: Format, date: NaiveDate) -> String {
    let day_of = |payout: &Payout| DateTime::from_timestamp(payout.arrival_date, 0).map(|at| at.date_naive());
    let currency = state.payouts.newest().next().map_or_else(|| "usd".to_owned(), |payout| payout.currency.clone());
    let mut of_account: Vec<&Payout> = state.payouts.newest().filter(|payout| payout.currency == currency).collect();
    of_account.reverse();
    let sum = |payouts: &[&Payout]| payouts.iter().map(|payout| payout.amount_cents).fold(0, i64::saturating_add);
    let before: Vec<&Payout> = of_account.iter().copied().filter(|payout| day_of(payout) < Some(date)).collect();
    let payouts: Vec<&Payout> = of_account.into_iter().filter(|payout| day_of(payout) == Some(date)).collect();
    let opening_cents = sum(&before);
    let day = Day { date, currency: currency.to_ascii_uppercase(), opening_cents, closing_cents: opening_cents + sum(&payouts), payouts };
    match format {
        Format::Bai2 => bai2(&day),
        Format::Camt053 => camt053(&day),
    }
}

/// Control totals: each level counts its records with its own first and last, and sums the amounts below it.
fn bai2(day: &Day<'_>) -> String {
    let date = day.date.format("%y%m%d");
    let Day { currency, opening_cents, closing_cents, .. } = day;
    let mut account = vec![format!("03,{ACCOUNT},{currency},010,{opening_cents},,,015,{closing_cents},,/")];
    for payout in &day.payouts {
        account.push(format!("16,165,{},,{},{},STRIPE TRANSFER {}", payout.amount_cents, payout.id, payout.descriptor, payout.descriptor));
    }
    let total = opening_cents + closing_cents + (closing_cents - opening_cents);
    account.push(format!("49,{total},{}/", account.len() + 1));
    let mut lines = vec![format!("01,SANDBOXBANK,UTILITY,{date},0600,1,,,2/"), format!("02,UTILITY,SANDBOXBANK,1,{date},,{currency},2/")];
    let in_group = account.len() + 2;
    lines.extend(account);
    lines.push(format!("98,{total},1,{in_group}/"));
    lines.push(format!("99,{total},1,{}/", in_group + 2));
    lines.join("\n") + "\n"
}

/// Cents with two decimals: no float is near it.
fn decimal(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn camt053(day: &Day<'_>) -> String {
    let Day { date, currency, opening_cents, closing_cents, payouts } = day;
    let balance = |code: &str, cents: i64| {
        let amount = decimal(cents);
        format!(
            "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy=\"{currency}\">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd>\
             <Dt><Dt>{date}</Dt></Dt></Bal>\n"
        )
    };
    let entry = |payout: &&Payout| {
        let (amount, id, words) = (decimal(payout.amount_cents), &payout.id, &payout.descriptor);
        format!(
            "<Ntry><Amt Ccy=\"{currency}\">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>{date}</Dt></BookgDt>\
             <ValDt><Dt>{date}</Dt></ValDt><AcctSvcrRef>{id}</AcctSvcrRef>\
             <BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>\
             <NtryDtls><TxDtls><Refs><EndToEndId>{words}</EndToEndId></Refs><RltdPties><Dbtr><Nm>STRIPE</Nm></Dbtr></RltdPties>\
             <RmtInf><Ustrd>STRIPE TRANSFER {words}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>\n"
        )
    };
    let (count, sum) = (payouts.len(), decimal(closing_cents - opening_cents));
    let id = date.format("SANDBOX-%Y%m%d");
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02\">\n<BkToCstmrStmt>\n\
         <GrpHdr><MsgId>{id}</MsgId><CreDtTm>{date}T23:59:00Z</CreDtTm></GrpHdr>\n<Stmt><Id>{id}</Id><CreDtTm>{date}T23:59:00Z</CreDtTm>\n\
         <Acct><Id><Othr><Id>{ACCOUNT}</Id></Othr></Id><Ccy>{currency}</Ccy></Acct>\n{}{}\
         <TxsSummry><TtlNtries><NbOfNtries>{count}</NbOfNtries><Sum>{sum}</Sum></TtlNtries>\
         <TtlCdtNtries><NbOfNtries>{count}</NbOfNtries><Sum>{sum}</Sum></TtlCdtNtries></TxsSummry>\n{}</Stmt>\n</BkToCstmrStmt>\n</Document>\n",
        balance("OPBD", *opening_cents),
        balance("CLBD", *closing_cents),
        payouts.iter().map(entry).collect::<String>(),
    )
}
