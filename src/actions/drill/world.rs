//! One of the drill's two towns: the disturbed one, or its undisturbed twin. Both live the same days.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::{NaiveDate, NaiveTime};

use super::provider::{DrillProvider, HIDDEN, MERCHANT, NAME, paid};
use crate::actions::autopay;
use crate::actions::bank::decide::{Share, Verdict, decide};
use crate::actions::bank::import::{NewBankFile, import_bank_file};
use crate::actions::bank::mappings;
use crate::actions::bill_run::{Fault, RunOptions, RunReport, run_bills};
use crate::actions::demo::{TownOptions, make_town};
use crate::actions::import::{ImportOptions, reads};
use crate::actions::inbox::{receive, settle};
use crate::actions::stop::Stop;
use crate::actions::{ActionError, Context};
use crate::clock::Clock;
use crate::db::autopay::{Method, NewMandate, activate, insert_mandate};
use crate::db::bank::{self, EntryRow};
use crate::db::drill::{self as rows, Standing};
use crate::db::provider_payments::{self, NewCheckout, NewProviderPayment};
use crate::domain::ids::{AccountId, BankEntryId};
use crate::domain::money::Money;
use crate::providers::ProviderBook;

/// The columns of the bank's export.
const MAPPING: &str = "\
date_format = \"YYYY-MM-DD\"
date = \"day\"
reference = [\"reference\"]
name = \"name\"
account = \"account\"
text = [\"text\"]
bank_reference = \"id\"
bank_account = { fixed = \"OPERATING\" }

[amount]
sign = \"signed\"
amount = \"amount\"
";
/// No match is as sure as this: with the fault on, what the bank tells of waits although it fits.
const NEVER_SURE: u8 = 101;
/// So many rows are read, or written together.
const PAGE: usize = 1_000;

/// A payment that is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Coming {
    /// Whose, by number.
    pub(super) account: String,
    pub(super) amount: Money,
    /// Whether the bank tells of it; else the provider does.
    pub(super) by_bank: bool,
    /// Whether the fault hides it.
    pub(super) hidden: bool,
    /// Which round of payments it is of.
    pub(super) round: &'static str,
}

impl Coming {
    fn name(&self) -> String {
        let hidden = if self.hidden { HIDDEN } else { "" };
        format!("{hidden}{}-{}", self.round, self.account)
    }
}

/// A town.
pub(super) struct World {
    pub(super) context: Context,
    provider: Arc<DrillProvider>,
    folder: PathBuf,
}

impl World {
    /// A town to be, in an empty database, as of a day.
    pub(super) fn new(context: &Context, folder: &Path, on: NaiveDate) -> Self {
        let provider = Arc::new(DrillProvider::default());
        let clock = Clock::simulated(moment(context, on, 12).and_utc());
        let context = Context { clock, providers: ProviderBook::new(vec![Arc::<DrillProvider>::clone(&provider)]), ..context.clone() };
        Self { context, provider, folder: folder.to_path_buf() }
    }

    /// Moves the town's clock to an hour of a day.
    pub(super) fn at(&self, on: NaiveDate, hour: u32) {
        self.context.clock.set(moment(&self.context, on, hour).and_utc());
    }

    /// Makes the town with its history.
    pub(super) fn settle_in(&self, options: TownOptions) -> Result<(), ActionError> {
        make_town(&self.context, &self.folder, options, &|_, _| {})?;
        mappings::save(&self.context, "drill", "mapping.toml", MAPPING)?;
        self.context.database.refresh_statistics()?;
        Ok(())
    }

    pub(super) fn standings(&self) -> Result<Vec<Standing>, ActionError> {
        Ok(self.context.database.read(rows::standings)?)
    }

    /// Switches the fault: nothing is made of the payments that it hides.
    pub(super) fn hide(&self, hidden: bool) {
        self.provider.blind.store(hidden, Ordering::SeqCst);
    }

    /// Money arrives: events of the provider in the inbox, a file of the bank. What is understood is applied.
    pub(super) fn receive(&self, payments: &[Coming]) -> Result<(), ActionError> {
        self.begin(payments)?;
        let at = self.context.now().and_utc().timestamp();
        for payment in payments.iter().filter(|payment| !payment.by_bank) {
            let (body, signature) = paid(&payment.name(), payment.amount, at, &self.context.config.currency);
            receive(&self.context, NAME, &body, Some(&signature)).map_err(|error| ActionError::Refused(format!("the drill's inbox: {error}")))?;
        }
        for hidden in [false, true] {
            self.bank_file(payments.iter().filter(|payment| payment.by_bank && payment.hidden == hidden), hidden)?;
        }
        settle(&self.context, true, &Stop::default())?;
        Ok(())
    }

    /// Customers begin to pay at the provider.
    fn begin(&self, payments: &[Coming]) -> Result<(), ActionError> {
        let ids: HashMap<String, AccountId> = self.standings()?.into_iter().map(|row| (row.number, row.account_id)).collect();
        let online: Vec<&Coming> = payments.iter().filter(|payment| !payment.by_bank).collect();
        for page in online.chunks(PAGE) {
            self.context.database.write(|conn| {
                let now = self.context.now();
                for payment in page {
                    let Some(account) = ids.get(&payment.account).copied() else { continue };
                    let (name, cents) = (payment.name(), payment.amount.cents());
                    let checkout = self.checkout(&name, "pay", cents);
                    let parts = [(account, cents)];
                    let id = provider_payments::insert_checkout(conn, &checkout, &parts)?;
                    let begun = NewProviderPayment {
                        provider: NAME.to_owned(),
                        merchant: MERCHANT.to_owned(),
                        provider_ref: None,
                        checkout_id: Some(id),
                        state: "created".to_owned(),
                        amount_cents: cents,
                        currency: self.context.config.currency.clone(),
                        tender: "card".to_owned(),
                        made_on: self.context.today(),
                        trace_id: name,
                        created_at: now,
                        updated_at: now,
                    };
                    let begun = provider_payments::insert(conn, &begun)?;
                    provider_payments::set_parts(conn, begun, &parts)?;
                }
                Ok::<_, ActionError>(())
            })?;
        }
        Ok(())
    }

    fn checkout(&self, name: &str, purpose: &str, amount_cents: i64) -> NewCheckout {
        let now = self.context.now();
        NewCheckout {
            token: name.to_owned(),
            form_key: name.to_owned(),
            provider: NAME.to_owned(),
            merchant: MERCHANT.to_owned(),
            purpose: purpose.to_owned(),
            amount_cents,
            login_id: None,
            status: "created".to_owned(),
            created_at: now,
            updated_at: now,
        }
    }

    fn bank_file<'a>(&self, payments: impl Iterator<Item = &'a Coming>, hidden: bool) -> Result<(), ActionError> {
        let today = self.context.today();
        let mut text = "day,amount,reference,name,account,text,id\n".to_owned();
        let mut count = 0;
        let mut round = "";
        for payment in payments {
            text += &format!("{today},{},{},,,payment,{}\n", payment.amount, payment.account, payment.name());
            count += 1;
            round = payment.round;
        }
        if count == 0 {
            return Ok(());
        }
        let mut config = (*self.context.config).clone();
        if hidden && self.provider.blind.load(Ordering::SeqCst) {
            config.bank.auto_confidence = NEVER_SURE;
        }
        let context = Context { config: Arc::new(config), ..self.context.clone() };
        let kind = if hidden { "hidden" } else { "seen" };
        let name = format!("{round}-{kind}.csv");
        let file = NewBankFile { name, bytes: text.into_bytes(), format: None, mapping: Some("drill".to_owned()), dry_run: false };
        import_bank_file(&context, &file).map(|_| ())
    }

    /// The fault is mended: what waits in the inbox is applied, and a clerk gives what the bank told of to its accounts.
    pub(super) fn apply_what_waits(&self) -> Result<usize, ActionError> {
        let applied = settle(&self.context, true, &Stop::default())?.applied;
        let numbers: HashMap<AccountId, String> = self.standings()?.into_iter().map(|row| (row.account_id, row.number)).collect();
        let mut given = usize::try_from(applied).unwrap_or(usize::MAX);
        let mut after = BankEntryId(0);
        loop {
            let page: Vec<EntryRow> = self.context.database.read(|conn| bank::waiting(conn, after, 500))?;
            let Some(last) = page.last().map(|row| row.id) else { return Ok(given) };
            after = last;
            for row in page {
                let Some(account) = row.suggested_account_id.and_then(|account| numbers.get(&account)) else { continue };
                let verdict = Verdict::Assign { shares: vec![Share { account: account.clone(), amount: None }], payment: None };
                decide(&self.context, row.id, &verdict, "the drill's fault is mended", None)?;
                given += 1;
            }
        }
    }

    /// Every meter is read: much as the month before.
    pub(super) fn read_meters(&self, on: NaiveDate) -> Result<(), ActionError> {
        let last = self.context.database.read(|conn| rows::last_readings(conn, on))?;
        let mut text = "meter_id,read_on,reading\n".to_owned();
        for (meter, number) in last.iter().zip(0_i64..) {
            let used = meter.before_milli.map_or(6_000, |before| meter.reading_milli - before).clamp(1_000, 400_000);
            let reading = (meter.reading_milli + used * (90 + number % 21) / 100) / 1_000;
            text += &format!("{},{on},{reading}\n", meter.serial);
        }
        let path = self.folder.join("reads-of-the-drill.csv");
        std::fs::write(&path, text).map_err(|source| ActionError::file(&path, source))?;
        reads::import_reads(&self.context, &path, ImportOptions { dry_run: false, progress: &|_| {} }).map(|_| ())
    }

    /// Lets autopay draw the bills of some accounts.
    pub(super) fn give_mandates(&self, accounts: &[AccountId]) -> Result<(), ActionError> {
        let now = self.context.now();
        self.context.database.write(|conn| {
            for account in accounts {
                let name = format!("mandate-{account}");
                let checkout_id = provider_payments::insert_checkout(conn, &self.checkout(&name, "mandate", 0), &[(*account, 0)])?;
                let mandate = NewMandate {
                    account_id: *account,
                    login_id: None,
                    provider: NAME.to_owned(),
                    merchant: MERCHANT.to_owned(),
                    checkout_id,
                    state: "pending".to_owned(),
                    limit_cents: None,
                    created_at: now,
                    attempts: 0,
                    next_attempt_at: None,
                };
                let id = insert_mandate(conn, &mandate)?;
                activate(conn, id, Method { customer_ref: &name, method_ref: &name, label: "Drill card ending 4242" }, now)?;
            }
            Ok::<_, ActionError>(())
        })
    }

    /// Bills the town, or tries to.
    pub(super) fn bill(&self, through: NaiveDate, fault: Option<Fault>, override_gates: Option<&str>) -> Result<RunReport, ActionError> {
        let options = RunOptions {
            cycle: "town".to_owned(),
            override_gates: override_gates.map(str::to_owned),
            fault,
            ..RunOptions::approving_all(through, &|_, _, _| {})
        };
        run_bills(&self.context, &options)
    }

    /// Draws what is due, as the job does.
    pub(super) fn draw(&self) -> Result<autopay::Counts, ActionError> {
        let mut counts = autopay::Counts::default();
        autopay::draw::draw_due(&self.context, &Stop::default(), &mut counts)?;
        Ok(counts)
    }
}

/// An hour of a day at the utility.
fn moment(context: &Context, on: NaiveDate, hour: u32) -> chrono::NaiveDateTime {
    let local = on.and_time(NaiveTime::from_hms_opt(hour, 0, 0).unwrap_or_default());
    local.and_local_timezone(context.config.time_zone).earliest().map_or(local, |local| local.naive_utc())
}
