//! Refund parity (P8): a wrong bill and its credit are the bill that should have been, to the cent and to the cent of tax, for
//! every tariff there is: the published ones, where the shared data is on this machine, and our own.
//!
//! Whatever was wrong (the usage, the class, what is known of the account, the register's multiplier, the days, the version of
//! the rates), the credit is the difference of two charges that are each priced whole. The right one is also priced by the
//! second evaluator, so that the difference cannot be right by agreeing with itself. And it is posted, for a sample, on both
//! databases, beside a twin who was billed rightly from the start.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on must fail loudly")]
#![allow(clippy::print_stdout, reason = "how much was compared, and what could not be, is worth reading")]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use aquabills::actions::ActionError;
use aquabills::actions::rebill::{ExactCorrection, correct_within};
use aquabills::db::ledger;
use aquabills::domain::billing::{RateSlice, SegmentInputs, TariffBook, charge, recompute};
use aquabills::domain::ids::{AccountId, ReadId, RegisterId};
use aquabills::domain::ledger::{Charged, Entry, EntryKind};
use aquabills::domain::metering::{ReadKind, Register, Span};
use aquabills::domain::money::Money;
use aquabills::domain::overcharges::still_to_mend;
use aquabills::domain::rates::{Attributes, PricingInput, Tariff};
use chrono::{Days, NaiveDate};
use diesel::result::Error as DieselError;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use support::{TARIFF, Town, day, lines, on_both};

const SEED: u64 = 20_261_205;
/// Pairs of a wrong and a right bill for each class of each tariff.
const PAIRS: usize = 60;

/// A tariff with what is known to be valid attributes for each of its classes.
struct Known {
    name: String,
    tariff: Tariff,
    attributes: BTreeMap<String, Vec<Attributes>>,
}

/// The tariffs of a folder, with the attributes that its tables of cases name.
fn known_in(folder: &Path) -> Vec<Known> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut attributes: HashMap<(String, String), Vec<Attributes>> = HashMap::new();
    for table in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "csv")) {
        for case in csv::Reader::from_path(table).unwrap().deserialize::<HashMap<String, String>>() {
            let case = case.unwrap();
            let given = case.get("attributes").filter(|text| !text.is_empty()).map(|text| serde_json::from_str(text).unwrap()).unwrap_or_default();
            let list = attributes.entry((case["file"].clone(), case["rate_class"].clone())).or_default();
            if !list.contains(&given) {
                list.push(given);
            }
        }
    }
    let tariffs = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "owrs"));
    tariffs
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(path).unwrap();
            let tariff = Tariff::parse(&text).unwrap_or_else(|errors| panic!("{name}: {errors}"));
            let of = |class: &str| attributes.get(&(name.clone(), class.to_owned())).cloned().unwrap_or_else(|| guessed(&tariff, class, &text));
            let attributes = tariff.classes().map(|class| (class.to_owned(), of(class))).collect();
            Known { name, tariff, attributes }
        })
        .collect()
}

/// For a class that no table has cases of: attributes that it can be priced with, found by trying the keys that its file names.
fn guessed(tariff: &Tariff, class: &str, text: &str) -> Vec<Attributes> {
    let compiled = tariff.compile(class).unwrap();
    let names: Vec<&str> = compiled.attributes().collect();
    let keys = text
        .lines()
        .filter_map(|line| line.rsplit_once(':'))
        .map(|(key, _)| key.trim().trim_start_matches("- ").trim_matches(['"', '\'']).replace("\\\"", "\""));
    let mut values: Vec<String> = keys.flat_map(|key| key.split('|').map(|part| part.trim().to_owned()).collect::<Vec<_>>()).collect();
    values.extend(["1", "3", "12", "250"].map(str::to_owned));
    values.sort();
    values.dedup();
    let mut random = StdRng::seed_from_u64(SEED);
    let mut found: Vec<Attributes> = Vec::new();
    for _ in 0..20_000 {
        let mut attributes = Attributes::default();
        for name in &names {
            attributes.set(name, &values[random.random_range(0..values.len())]);
        }
        if found.len() < 12 && !found.contains(&attributes) && compiled.price(&PricingInput::new(7.into(), &attributes)).is_ok() {
            found.push(attributes);
        }
    }
    if found.is_empty() { vec![Attributes::default()] } else { found }
}

/// Our own tariffs: those of the fixtures, and that of the stories.
fn our_own() -> Vec<Known> {
    let mut known = known_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rates"));
    assert!(known.len() >= 7, "the fixtures are there");
    let tariff = Tariff::parse(TARIFF).unwrap();
    let attributes = tariff.classes().map(|class| (class.to_owned(), vec![Attributes::default()])).collect();
    known.push(Known { name: "stories".to_owned(), tariff, attributes });
    known
}

/// The published tariffs, where this machine has them.
fn published() -> Vec<Known> {
    let folder = support::shared_data().map(|folder| folder.join("owrs")).filter(|folder| folder.join("expected_bills.csv").is_file());
    let Some(folder) = folder else {
        println!("NOT TESTED with the published tariffs: the folder ../shared/data/owrs is not beside this checkout");
        return Vec::new();
    };
    known_in(&folder)
}

/// A bill that may be right or wrong: everything that its amount depends on.
fn random_inputs(known: &Known, class: &str, random: &mut StdRng) -> SegmentInputs {
    let start_on = day("2026-03-01");
    let days = random.random_range(20..=95);
    let end_on = start_on + Days::new(days);
    let pool = &known.attributes[class];
    let attributes = pool[random.random_range(0..pool.len())].clone();
    // Most usages are small; some are as high as a leak's.
    let most = if random.random_range(0..5) == 0 { 4_000_000 } else { 90_000 };
    let used = if random.random_range(0..8) == 0 { random.random_range(0..90) * 1000 } else { random.random_range(0..most) };
    let multiplier_milli = [1000, 1000, 1000, 10_000, 100_000, 100, 748, 1337][random.random_range(0..8)];
    let register = Register { id: RegisterId(1), digits: 7, multiplier_milli, unit: None };
    let from_milli = random.random_range(0..9_000_000);
    let to_milli = from_milli + used;
    let span =
        Span { register, from_read: ReadId(1), to_read: ReadId(2), from_on: start_on, to_on: end_on, from_milli, to_milli, kind: ReadKind::Actual };
    let days = u32::try_from(days).unwrap();
    SegmentInputs {
        engine: aquabills::domain::billing::ENGINE_VERSION.to_owned(),
        rate_class: class.to_owned(),
        attributes,
        start_on,
        end_on,
        spans: vec![span],
        slices: vec![RateSlice { sha256: known.tariff.sha256().to_owned(), days, rate_class: None, attributes: None }],
        standard_days: (random.random_range(0..6) == 0).then_some(days + random.random_range(1..40)),
        winter: None,
        settles: None,
    }
}

/// The days are priced by two versions, or by two classes, one after the other.
fn cut_in_two(inputs: &mut SegmentInputs, other: &Known, random: &mut StdRng) {
    let Some(slice) = inputs.slices.first().cloned() else { return };
    let classes: Vec<&String> = other.attributes.keys().collect();
    let class = classes[random.random_range(0..classes.len())];
    let pool = &other.attributes[class];
    let attributes = pool[random.random_range(0..pool.len())].clone();
    let first = random.random_range(1..slice.days);
    let other = RateSlice { sha256: other.tariff.sha256().to_owned(), days: first, rate_class: Some(class.clone()), attributes: Some(attributes) };
    inputs.slices = vec![other, RateSlice { days: slice.days - first, ..slice }];
}

fn charged(inputs: &SegmentInputs, book: &TariffBook) -> Option<(Charged, Money)> {
    let charge = charge(inputs, book).ok()?;
    // The lines are what the customer sees, and what of them is tax: they are the amount.
    let lines: i64 = charge.charge.lines.iter().map(|line| line.amount_cents.cents()).sum();
    assert_eq!(lines, charge.charge.total.cents(), "{inputs:?}");
    Some((Charged { total: charge.charge.total, tax: charge.charge.tax }, recompute(inputs, book).expect("the second evaluator prices it, too")))
}

fn plus(a: Charged, b: Charged) -> Charged {
    Charged { total: Money::from_cents(a.total.cents() + b.total.cents()), tax: Money::from_cents(a.tax.cents() + b.tax.cents()) }
}

/// What a pair of bills came to.
#[derive(Default)]
struct Count {
    classes: usize,
    pairs: usize,
    taxed: usize,
    /// Pairs in which a credit of units at the highest price paid would have been another.
    naive_differs: usize,
    unpriced: usize,
    /// Classes of which nothing is known that they could be priced with.
    unpriced_classes: Vec<String>,
}

fn hold_parity(all: &[Known], seed: u64) -> Count {
    let mut book = TariffBook::default();
    for known in all {
        book.add(&known.name, NaiveDate::MIN, known.tariff.clone()).unwrap_or_else(|error| panic!("{}: {error}", known.name));
    }
    let mut random = StdRng::seed_from_u64(seed);
    let mut count = Count::default();
    for known in all {
        let classes: Vec<&String> = known.attributes.keys().collect();
        for class in &classes {
            count.classes += 1;
            let before = count.pairs;
            for _ in 0..PAIRS {
                let wrong_class = if random.random_range(0..3) == 0 { classes[random.random_range(0..classes.len())] } else { class };
                let mut wrong = random_inputs(known, wrong_class, &mut random);
                let mut right = random_inputs(known, class, &mut random);
                if random.random_range(0..4) == 0 {
                    let other = &all[random.random_range(0..all.len())];
                    cut_in_two(&mut wrong, other, &mut random);
                }
                if random.random_range(0..6) == 0 {
                    cut_in_two(&mut right, known, &mut random);
                }
                compare(&wrong, &right, &book, &mut count);
            }
            if count.pairs == before {
                count.unpriced_classes.push(format!("{} {class}", known.name));
            }
        }
    }
    count
}

fn compare(wrong: &SegmentInputs, right: &SegmentInputs, book: &TariffBook, count: &mut Count) {
    let (Some((billed, _)), Some((should, independent))) = (charged(wrong, book), charged(right, book)) else {
        count.unpriced += 1;
        return;
    };
    // As a case is put right: by the second evaluator's word for what is right, which the first one must come to again.
    let credit = still_to_mend(billed, independent, std::slice::from_ref(right), book).unwrap_or_else(|why| panic!("{why}: {right:?}"));
    let mended = plus(billed, credit);
    assert_eq!((mended.total, mended.tax), (independent, should.tax), "wrong {wrong:?}\nright {right:?}");
    // Found wrong once more, in the other direction: what was posted by then is put right, and its tax with it.
    let (again, wrong_independent) = charged(wrong, book).expect("it was priced before");
    let back = still_to_mend(mended, wrong_independent, std::slice::from_ref(wrong), book).unwrap_or_else(|why| panic!("{why}: {wrong:?}"));
    assert_eq!(plus(mended, back), again, "a second correction of the same days");
    assert_eq!((back.total.cents(), back.tax.cents()), (-credit.total.cents(), -credit.tax.cents()));
    let other = Money::from_cents(independent.cents() + 1);
    assert!(still_to_mend(billed, other, std::slice::from_ref(right), book).is_err(), "what nobody can price again is given to nobody");
    count.pairs += 1;
    count.taxed += usize::from(should.tax != Money::default() || billed.tax != Money::default());
    // What the incident's customers were offered: the units too much at the price of one unit.
    let (used, should_use) = (charge(wrong, book).unwrap().usage_milli, charge(right, book).unwrap().usage_milli);
    let priced = charge(wrong, book).unwrap();
    let price = priced.charge.lines.iter().rev().find_map(|line| line.price);
    if let Some(price) = price.filter(|_| used != should_use) {
        let naive = rust_decimal::Decimal::from(should_use - used) * price / rust_decimal::Decimal::from(10);
        count.naive_differs += usize::from(naive.round() != rust_decimal::Decimal::from(credit.total.cents()));
    }
}

#[test]
fn every_tariff_of_our_own() {
    let count = hold_parity(&our_own(), SEED);
    println!(
        "{} classes, {} pairs, {} with tax, {} not priced; units × price would be wrong in {}",
        count.classes, count.pairs, count.taxed, count.unpriced, count.naive_differs
    );
    assert_eq!(count.unpriced_classes, Vec::<String>::new());
    assert!(count.taxed > 0, "taxes are among them");
    assert!(count.naive_differs > count.pairs / 4, "the law has something to say: {}", count.naive_differs);
}

#[test]
fn every_published_tariff() {
    let known = published();
    if known.is_empty() {
        return;
    }
    assert_eq!(known.len(), 48, "all of them");
    let count = hold_parity(&known, SEED + 1);
    println!(
        "{} tariffs, {} classes, {} pairs, {} not priced; units × price would be wrong in {}",
        known.len(),
        count.classes,
        count.pairs,
        count.unpriced,
        count.naive_differs
    );
    assert!(count.unpriced_classes.is_empty(), "nothing is known that these could be priced with: {:?}", count.unpriced_classes);
    assert!(count.pairs > count.classes * PAIRS / 2 && count.naive_differs > count.pairs / 4);
}

// --- Through the ledger ------------------------------------------------------------------------------------------------

/// Accounts of the sample; each has a twin.
const SAMPLE: usize = 64;

/// Pairs of charges, wrong and right, from all tariffs that this machine has.
fn sample() -> Vec<(Charged, Charged)> {
    // Our own come more often: taxes are among them.
    let own = our_own().len();
    let all: Vec<Known> = our_own().into_iter().chain(published()).collect();
    let mut book = TariffBook::default();
    for known in &all {
        book.add(&known.name, NaiveDate::MIN, known.tariff.clone()).expect("it compiles");
    }
    let mut random = StdRng::seed_from_u64(SEED + 2);
    let mut pairs = Vec::new();
    for attempt in 0.. {
        if pairs.len() == SAMPLE {
            break;
        }
        let known = if attempt % 2 == 0 { &all[attempt / 2 % own] } else { &all[attempt % all.len()] };
        let classes: Vec<&String> = known.attributes.keys().collect();
        let class = classes[random.random_range(0..classes.len())];
        let (wrong, right) = (random_inputs(known, class, &mut random), random_inputs(known, class, &mut random));
        if let (Some((billed, _)), Some((should, _))) = (charged(&wrong, &book), charged(&right, &book))
            && billed != should
        {
            pairs.push((billed, should));
        }
    }
    assert!(pairs.iter().any(|(billed, should)| billed.tax != should.tax), "taxes are among them");
    pairs
}

/// Posts a charge as a bill does.
fn post_charge(town: &Town, account: AccountId, charged: Charged) {
    town.context
        .database
        .write(|conn| {
            ledger::lock_accounts(conn, &[account])?;
            let entry = Entry::charge(account, EntryKind::Bill, "run:1".to_owned(), charged.total, charged.tax, day("2026-05-01")).balanced()?;
            let after = ledger::position(conn, account)?.after(charged.total)?;
            Ok::<_, ActionError>(ledger::append(conn, &[(entry, after)], town.context.now())?)
        })
        .expect("it is posted");
}

/// What an account's postings come to: the balance, the taxes, and what was earned, with what was credited of it.
fn sums(town: &Town, account: AccountId) -> Vec<String> {
    let sql = format!(
        "SELECT CASE WHEN p.gl_code IN ('revenue:service', 'credit:billing') THEN 'earned' ELSE p.gl_code END || ' ' || sum(p.amount_cents) AS line \
         FROM posting p JOIN financial_transaction f ON f.id = p.transaction_id WHERE f.account_id = {account} \
         GROUP BY CASE WHEN p.gl_code IN ('revenue:service', 'credit:billing') THEN 'earned' ELSE p.gl_code END \
         HAVING sum(p.amount_cents) <> 0 ORDER BY 1"
    );
    town.context.database.read(|conn| Ok::<_, DieselError>(lines(conn, &sql))).expect("the query is right")
}

on_both! {
    fn a_credit_in_the_ledger_makes_a_wrong_bill_right(town: Town) {
        let rows: Vec<String> = (1..=SAMPLE * 2).map(|number| format!("A{number},S{number},HOME,M{number}")).collect();
        let town = town.with_services(&rows.iter().map(String::as_str).collect::<Vec<_>>());
        for (number, (billed, should)) in (1..).zip(sample()) {
            let (account, twin) = (AccountId(number), AccountId(number + i64::try_from(SAMPLE).unwrap()));
            post_charge(&town, account, billed);
            post_charge(&town, twin, should);
            let difference = billed.difference_to(should).expect("amounts fit");
            let wanted = ExactCorrection {
                account_id: account,
                difference,
                effective_on: town.context.today(),
                reference: format!("finding:{number}"),
                note: "a wrong bill".to_owned(),
            };
            if difference.total == Money::default() {
                continue;
            }
            // Twice: it is done once.
            for _ in 0..2 {
                let after = town.context.database.write(|conn| {
                    ledger::lock_accounts(conn, &[account])?;
                    correct_within(conn, &town.context, &wanted)
                });
                assert_eq!(after.expect("it is put right").balance, should.total);
            }
            assert_eq!(sums(&town, account), sums(&town, twin), "account {number}: billed {billed:?}, should {should:?}");
        }
        // The wrong bills were posted without their papers; what the ledger itself promises holds.
        let words = town.check().first_faults;
        assert!(words.iter().all(|fault| fault.contains("bills in the ledger")), "{words:?}");
    }
}
