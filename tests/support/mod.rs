//! What every story needs: a town on either database, and short words for what people do in it.
#![allow(dead_code, unused_macros, unused_imports, reason = "each test program uses its own part")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]

pub mod fake_autopay;
pub mod http;
pub mod moves;
pub mod pages;
pub mod plain_provider;
pub mod postgres;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use aquabills::actions::bill_run::{Fault, RunOptions, RunReport, run_bills};
use aquabills::actions::check_ledger::{LedgerReport, check_ledger};
use aquabills::actions::import::{ImportOptions, ImportReport, exchanges, payments, reads, services};
use aquabills::actions::overcharges::cases;
use aquabills::actions::overcharges::scan::scan_all;
use aquabills::actions::payments::{COUNTER_PROVIDER, NewPayment, Posted, post_payment};
use aquabills::actions::policy::store_policy;
use aquabills::actions::tariffs::{TariffReport, import_tariff};
use aquabills::actions::verify_bills::{VerifyReport, verify_bills};
use aquabills::actions::{ActionError, Context};
use aquabills::clock::Clock;
use aquabills::config::Config;
use aquabills::db::{Backend, Database, DbConnection, customers, ledger};
use aquabills::domain::ids::AccountId;
use aquabills::domain::ledger::Tender;
use aquabills::providers::ProviderBook;
use chrono::{NaiveDate, TimeZone, Utc};
use diesel::RunQueryDsl;
use tempfile::TempDir;

/// Tells the same story on SQLite and on PostgreSQL: two tests, `name::sqlite` and `name::postgres`.
macro_rules! on_both {
    ($(fn $name:ident($town:ident: Town) $body:block)+) => {$(
        mod $name {
            #[allow(unused_imports, reason = "a story may need nothing from around it")]
            use super::*;
            fn story($town: $crate::support::Town) $body
            #[test]
            fn sqlite() {
                story($crate::support::Town::sqlite());
            }
            #[test]
            fn postgres() {
                story($crate::support::Town::postgres());
            }
        }
    )+};
}
pub(crate) use on_both;

/// A town of its own for each test.
pub struct Town {
    pub context: Context,
    /// The database's address, as the program takes it.
    pub url: String,
    /// Files of this town.
    pub dir: TempDir,
}

/// A date.
pub fn day(text: &str) -> NaiveDate {
    text.parse().expect("a date as YYYY-MM-DD")
}

/// The simple tariff of most stories: a fixed charge and two tiers, all by the boundary rule.
pub const TARIFF: &str = "\
metadata:
  effective_date: 2020-01-01
  utility_name: Story town
  bill_frequency: monthly
  bill_unit: ccf
aquabills:
  tier_rule: boundary
rate_structure:
  HOME:
    service_charge: 10.00
    tier_starts: [0, 10]
    tier_prices: [2.00, 3.50]
    commodity_charge: Tiered
    bill: service_charge+commodity_charge
  SHOP:
    commodity_charge: 4.25*usage_ccf
    bill: commodity_charge
";

/// A policy under which one person may give what they like, and all money is safe to give back: for tests of other things.
pub const LENIENT: &str = "\
title = \"Lenient\"
effective_on = 2000-01-01
[credits]
citation = \"A test\"
approval_above = \"1000000.00\"
approval_total_above = \"10000000.00\"
approval_days = 1
approvers = [\"supervisor\"]
request_days = 1
largest = \"10000000.00\"
[refunds]
citation = \"A test\"
approval_above = \"10000000.00\"
largest = \"10000000.00\"
smallest_payout = \"0.01\"
return_days = { card = 0, direct_debit = 0, cheque = 1, transfer = 0, cash = 0 }
";

impl Town {
    /// A town on SQLite.
    pub fn sqlite() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}", dir.path().join("town.db").display());
        Self::at(url, dir)
    }

    /// A town on PostgreSQL.
    pub fn postgres() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        Self::at(postgres::new_database(), dir)
    }

    fn at(url: String, dir: TempDir) -> Self {
        let database = Database::open(&url, 16).expect("the database opens");
        let clock = Clock::simulated(Utc.with_ymd_and_hms(2026, 6, 15, 12, 0, 0).single().expect("a moment"));
        let context =
            Context { database, config: Arc::new(Config::default()), providers: ProviderBook::default(), clock, actor: "tester".to_owned() };
        Self { context, url, dir }
    }

    /// Changes the settings.
    pub fn configure(&mut self, change: impl FnOnce(&mut Config)) {
        let mut config = (*self.context.config).clone();
        change(&mut config);
        self.context.config = Arc::new(config);
    }

    /// The town under the lenient policy.
    pub fn lenient(self) -> Self {
        store_policy(&self.context, "lenient.toml", LENIENT).expect("the policy is accepted");
        self
    }

    /// A town with the simple tariff and these services (`account,service,class,meter` each, four digits).
    pub fn with_services(self, rows: &[&str]) -> Self {
        self.tariff(TARIFF).expect("the tariff is accepted");
        let lines: Vec<String> = rows.iter().map(|row| format!("{row},4")).collect();
        let report = self.services(&format!("customer_id,service_id,rate_class,meter_id,register_digits\n{}\n", lines.join("\n")));
        assert_eq!(report.expect("the services are read").refused, 0);
        self
    }

    /// Writes a file into the town's folder.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).expect("the file is written");
        path
    }

    pub fn tariff(&self, text: &str) -> Result<TariffReport, ActionError> {
        import_tariff(&self.context, &self.file("tariff.owrs", text), false, false)
    }

    pub fn services(&self, csv: &str) -> Result<ImportReport, ActionError> {
        services::import_services(&self.context, &self.file("services.csv", csv), QUIET)
    }

    /// Imports reads given as `meter,date,reading` lines.
    pub fn reads(&self, rows: &[&str]) -> ImportReport {
        let csv = format!("meter_id,read_on,reading\n{}\n", rows.join("\n"));
        reads::import_reads(&self.context, &self.file("reads.csv", &csv), QUIET).expect("the reads are read")
    }

    /// Imports payments given as `account,amount,date,reference` lines.
    pub fn payments(&self, rows: &[&str]) -> ImportReport {
        let csv = format!("account,amount,effective_on,reference\n{}\n", rows.join("\n"));
        payments::import_payments(&self.context, &self.file("payments.csv", &csv), QUIET).expect("the payments are read")
    }

    /// Imports exchanges given as lines.
    pub fn exchanges(&self, rows: &[&str]) -> ImportReport {
        let header = "service_id,exchanged_on,old_meter_id,final_reading,new_meter_id,initial_reading,register_digits";
        let path = self.file("exchanges.csv", &format!("{header}\n{}\n", rows.join("\n")));
        exchanges::import_exchanges(&self.context, &path, QUIET).expect("the exchanges are read")
    }

    /// Takes a payment at the counter.
    pub fn pay(&self, account: &str, amount: &str, reference: &str) -> Posted {
        let payment = NewPayment {
            account_id: AccountId(0),
            amount: amount.parse().expect("an amount"),
            effective_on: self.context.today(),
            tender: Tender::Cash,
            provider: COUNTER_PROVIDER.to_owned(),
            reference: reference.to_owned(),
        };
        post_payment(&self.context, account, &payment).expect("the payment is posted")
    }

    /// Runs all cycles through a day, with approval.
    pub fn bill(&self, through: &str) -> RunReport {
        self.try_bill(through, true, None).expect("the run goes through")
    }

    pub fn try_bill(&self, through: &str, approve: bool, fault: Option<Fault>) -> Result<RunReport, ActionError> {
        let options = RunOptions {
            cycle: "all".to_owned(),
            through: day(through),
            dry_run: false,
            approve,
            override_gates: None,
            progress: &|_, _, _| {},
            fault,
        };
        run_bills(&self.context, &options)
    }

    /// An account's balance as text.
    pub fn balance(&self, account: &str) -> String {
        let position = self.context.database.read(|conn| {
            let row = customers::account_by_number(conn, account)?.expect("the account is there");
            ledger::position(conn, row.id)
        });
        position.expect("the ledger is read").balance.to_string()
    }

    pub fn check(&self) -> LedgerReport {
        check_ledger(&self.context, &|_| {}).expect("the ledger is checked")
    }

    pub fn verify(&self) -> VerifyReport {
        verify_bills(&self.context, &|_, _| {}).expect("the bills are verified")
    }

    /// Fails unless the ledger keeps its promises, every bill can be made again, and none is too high or too low.
    pub fn assert_sound(&self) {
        self.assert_books_sound();
        self.assert_nothing_overcharged();
    }

    /// Fails unless the ledger keeps its promises and every bill can be made again.
    pub fn assert_books_sound(&self) {
        let ledger = self.check();
        assert_eq!(ledger.faults, 0, "{:#?}", ledger.first_faults);
        let bills = self.verify();
        assert_eq!(bills.differences, 0, "{:#?}", bills.first_differences);
    }

    /// Fails when a bill is not what it would be if it were made today: nobody is credited who should not be.
    pub fn assert_nothing_overcharged(&self) {
        let scan = scan_all(&self.context, &|_, _| {}).expect("the bills are derived again");
        let cases = cases::list(&self.context, false, 0, 10).expect("the cases are read");
        assert!(scan.is_clean(), "{scan:#?}\n{cases:#?}");
        assert_eq!(scan.first_unjudged, [], "every bill that stands can be judged");
    }

    /// The bills as exported rows, without the header.
    pub fn bills(&self) -> Vec<csv::StringRecord> {
        let mut out = Vec::new();
        aquabills::actions::export_bills::export_bills(&self.context, &mut out, false).expect("the bills are exported");
        csv::Reader::from_reader(out.as_slice()).records().map(|row| row.expect("a row")).collect()
    }

    /// Service, end of period and total of each bill segment.
    pub fn totals(&self) -> Vec<(String, String, String)> {
        let text = |row: &csv::StringRecord, index| row.get(index).expect("the column").to_owned();
        self.bills().iter().map(|row| (text(row, 2), text(row, 4), text(row, 6))).collect()
    }

    /// The whole ledger but for ids and times: account, position, kind, source, amount, balance, value date.
    pub fn ledger_rows(&self) -> Vec<String> {
        let rows = self.context.database.read(|conn| ledger::transactions_in_range(conn, AccountId(0), AccountId(i64::MAX)));
        let rows = rows.expect("the ledger is read");
        rows.iter()
            .map(|row| {
                format!(
                    "{} {} {} {} {} {} {}",
                    row.account_id, row.account_seq, row.kind, row.source, row.amount_cents, row.balance_after_cents, row.effective_on
                )
            })
            .collect()
    }

    /// Runs the program itself on this town's database, in this town's folder.
    pub fn program(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the program starts")
    }

    /// Starts the program and kills it after a while, unless it is done by then: its output, or none when it was killed.
    pub fn start_and_kill(&self, args: &[&str], delay: Duration) -> Option<Output> {
        let mut child = self.command(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
        thread::sleep(delay);
        // A process that has ended is not reaped yet: killing it does nothing, and its own status tells.
        child.kill().expect("it is our child");
        let output = child.wait_with_output().expect("it ended");
        (output.status.signal() != Some(9)).then_some(output)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aquabills"));
        command.args(args).current_dir(self.dir.path()).env("DATABASE_URL", &self.url).env_remove("AQUABILLS_CONFIG").env("RUST_LOG", "error");
        command
    }
}

#[derive(diesel::QueryableByName)]
struct Line {
    #[diesel(sql_type = diesel::sql_types::Text)]
    line: String,
}

/// The column `line` of a query's rows.
pub fn lines(conn: &mut DbConnection, sql: &str) -> Vec<String> {
    diesel::sql_query(sql).load::<Line>(conn).expect("the query is right").into_iter().map(|row| row.line).collect()
}

/// Every row of every table as text.
pub fn dump(town: &Town) -> Vec<String> {
    let backend = town.context.database.backend();
    let rows = town.context.database.read(|conn| {
        let tables = match backend {
            Backend::Sqlite => "SELECT name AS line FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
            Backend::Postgres => "SELECT CAST(tablename AS TEXT) AS line FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename",
        };
        let mut rows = Vec::new();
        for table in lines(conn, tables) {
            let sql = match backend {
                Backend::Sqlite => {
                    let columns = lines(conn, &format!("SELECT name AS line FROM pragma_table_info('{table}') ORDER BY cid"));
                    let quoted: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
                    format!("SELECT {} AS line FROM {table} ORDER BY 1", quoted.join(" || ',' || "))
                }
                Backend::Postgres => format!("SELECT CAST(t AS TEXT) AS line FROM {table} t ORDER BY 1"),
            };
            rows.extend(lines(conn, &sql).into_iter().map(|row| format!("{table}: {row}")));
        }
        Ok::<_, diesel::result::Error>(rows)
    });
    rows.expect("the database is read")
}

/// Imports without a word.
pub const QUIET: ImportOptions<'static> = ImportOptions { dry_run: false, progress: &|_| {} };

/// The text of a program's standard output.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The text of a program's standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The folder of real data, when it is beside the checkout.
pub fn shared_data() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    path.is_dir().then_some(path)
}
