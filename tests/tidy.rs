//! The rules of the house as tests: which layer may import which, no floats near money, functions that fit a screen,
//! one clock, the same migrations for both databases. Each rule reads the source as text and names file and line;
//! each is itself shown to catch a planted violation.

#![allow(clippy::expect_used, reason = "a test may stop at the first thing it cannot read")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each layer, and what it may import besides itself. A new folder or file directly in `src` needs a row here.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("clock", &[]),
    ("config", &["domain"]),
    ("formats", &["domain"]),
    ("mail", &["domain", "formats", "config"]),
    ("pdf", &["actions", "domain", "config"]),
    ("telemetry", &["domain", "clock", "config"]),
    ("providers", &["domain", "formats", "clock", "config"]),
    ("sandbox", &["domain", "clock"]),
    ("db", &["domain"]),
    ("actions", &["db", "domain", "formats", "providers", "telemetry", "clock", "config"]),
    ("web", &["actions", "db", "domain", "formats", "providers", "telemetry", "clock", "config", "mail", "pdf"]),
    ("jobs", &["actions", "db", "domain", "formats", "providers", "telemetry", "clock", "config", "mail", "pdf"]),
    ("cli", &["web", "jobs", "app", "sandbox", "actions", "db", "domain", "formats", "providers", "telemetry", "clock", "config", "mail", "pdf"]),
    ("app", &["web", "jobs", "actions", "db", "domain", "formats", "providers", "telemetry", "clock", "config", "mail", "pdf"]),
    ("main", &["cli", "app", "telemetry", "clock", "config"]),
    (
        "lib",
        &["cli", "app", "web", "jobs", "sandbox", "actions", "db", "domain", "formats", "providers", "telemetry", "clock", "config", "mail", "pdf"],
    ),
];
/// Layers that leave SQL to others.
const WITHOUT_DIESEL: &[&str] =
    &["domain", "clock", "config", "formats", "mail", "pdf", "providers", "telemetry", "sandbox", "web", "cli", "app", "main"];
/// The layers that may know HTTP.
const WITH_ACTIX: &[&str] = &["web", "cli", "sandbox"];
/// Layers that money passes through.
const WITHOUT_FLOATS: &[&str] = &["domain", "db", "actions", "formats", "providers", "sandbox"];
/// Diesel's own ways to begin a transaction.
const RAW_TRANSACTIONS: &[&str] =
    &["transaction", "immediate_transaction", "exclusive_transaction", "build_transaction", "test_transaction", "begin_test_transaction"];
const LONGEST_FUNCTION_LINES: usize = 60;
const LARGEST_FILE_BYTES: usize = 40_000;

// --- The rules hold ---------------------------------------------------------------------------------------------

#[test]
fn imports_follow_the_arrows() {
    hold(&sources(&["src"]), arrows);
}

#[test]
fn sql_and_http_stay_in_their_layers() {
    hold(&sources(&["src"]), foreign_crates);
}

#[test]
fn raw_transactions_stay_in_db() {
    hold(&sources(&["src"]), raw_transactions);
}

#[test]
fn no_floats_near_money() {
    hold(&sources(&["src"]), floats);
}

#[test]
fn functions_fit_a_screen() {
    hold(&sources(&["src"]), long_functions);
}

#[test]
fn files_stay_small() {
    hold(&sources(&["src"]), large_file);
}

#[test]
fn nothing_is_left_undone() {
    hold(&sources(&["src", "tests"]), unfinished);
}

#[test]
fn only_the_clock_knows_the_time() {
    hold(&sources(&["src"]), time_of_day);
}

#[test]
fn placeholders_of_sql_come_in_order() {
    hold(&sources(&["src/db"]), unordered_placeholders);
}

#[test]
fn modules_open_with_what_belongs_there() {
    hold(&sources(&["src"]), missing_opening);
}

#[test]
fn both_databases_have_the_same_migrations() {
    let [sqlite, postgres] = ["sqlite", "postgres"].map(|backend| migrations(&root().join("migrations").join(backend)));
    assert!(!sqlite.is_empty(), "migrations/sqlite: no migration was found");
    assert_eq!(different_migrations(&sqlite, &postgres), Vec::<String>::new());
}

// --- The rules catch --------------------------------------------------------------------------------------------

#[test]
fn a_wrong_arrow_is_caught() {
    let caught = |path, text| arrows(&Source::new(path, text)).len();
    assert_eq!(caught("src/domain/a.rs", "use crate::db::Database;"), 1);
    assert_eq!(caught("src/domain/a.rs", "use super::super::db::Database;"), 1);
    assert_eq!(caught("src/domain/mod.rs", "use super::clock::Clock;"), 1);
    assert_eq!(caught("src/formats/a/b.rs", "use crate::{domain::Money, actions::{Context, db}};"), 1);
    assert_eq!(caught("src/db/a.rs", "fn f() { crate::actions::pay() }"), 1);
    assert_eq!(caught("src/actions/a.rs", "use crate::web::Page;\nuse crate::cli;\nuse crate::jobs::Job;"), 3);
    assert_eq!(caught("src/web/a.rs", "use crate::jobs::Job;"), 1);
    assert_eq!(caught("src/jobs/a.rs", "use crate::cli::Args;"), 1);
    assert_eq!(caught("src/main.rs", "use aquabills::db::Database;"), 1);
    assert_eq!(caught("src/clock.rs", "use crate::config::Config;"), 1);
    assert_eq!(caught("src/domain/a.rs", "use crate::Database;"), 1, "a re-export at the root hides the layer");
    assert_eq!(caught("src/billing/a.rs", "//! A layer that nobody planned."), 1);
    let place = arrows(&Source::new("src/domain/a.rs", "//! A.\n\nuse crate::db::Database;"));
    assert!(place[0].starts_with("src/domain/a.rs:3: "), "{place:?}");
}

#[test]
fn a_right_arrow_passes() {
    let caught = |path, text| arrows(&Source::new(path, text));
    let none = Vec::<String>::new();
    assert_eq!(caught("src/domain/rates/a.rs", "use super::super::money::Money;\nuse crate::domain::ids;\nuse super::b;"), none);
    assert_eq!(caught("src/domain/a.rs", "mod tests {\n use super::*;\n use super::super::money::Money;\n}\nuse super::c;"), none);
    assert_eq!(caught("src/actions/a.rs", "use crate::{clock::Clock, config::Config, db::{Database, ledger}, domain, formats};"), none);
    assert_eq!(caught("src/cli/serve.rs", "use crate::{jobs, web};"), none);
    assert_eq!(caught("src/domain/a.rs", "// crate::db::x\n/* crate::web */ const A: &str = \"crate::db\";\npub(crate) fn f() {}"), none);
}

#[test]
fn a_foreign_crate_is_caught() {
    let caught = |path, text| foreign_crates(&Source::new(path, text)).len();
    assert_eq!(caught("src/domain/a.rs", "use diesel::prelude::*;"), 1);
    assert_eq!(caught("src/web/a.rs", "fn f(e: diesel::result::Error) {}"), 1);
    assert_eq!(caught("src/cli/a.rs", "use diesel_migrations::embed_migrations;"), 1);
    assert_eq!(caught("src/formats/a.rs", "#[derive(diesel::Queryable)]"), 1);
    assert_eq!(caught("src/actions/a.rs", "use actix_web::web::Json;"), 1);
    assert_eq!(caught("src/db/a.rs", "use diesel::prelude::*;"), 0);
    assert_eq!(caught("src/web/a.rs", "use actix_web::HttpResponse; // not diesel"), 0);
}

#[test]
fn a_raw_transaction_is_caught() {
    let caught = |path, text| raw_transactions(&Source::new(path, text)).len();
    assert_eq!(caught("src/actions/a.rs", "conn.transaction(|conn| pay(conn))"), 1);
    assert_eq!(caught("src/actions/a.rs", "conn\n    .transaction::<_, Error, _>(|conn| pay(conn))"), 1);
    assert_eq!(caught("src/jobs/a.rs", "conn.immediate_transaction(work)"), 1);
    assert_eq!(caught("src/jobs/a.rs", "sql_query(\"BEGIN IMMEDIATE\")"), 1);
    assert_eq!(caught("src/db/mod.rs", "conn.transaction(work); run(\"BEGIN\")"), 0);
    assert_eq!(caught("src/actions/a.rs", "// BEGIN\nentry.transaction_id(); let transaction = 1; let s = \"-----BEGIN KEY\";"), 0);
}

#[test]
fn a_float_is_caught() {
    let caught = |path, text| floats(&Source::new(path, text)).len();
    assert_eq!(caught("src/domain/a.rs", "fn f(a: f64) -> f32 { a as f32 }"), 3);
    assert_eq!(caught("src/db/a.rs", "let a = 2f64; let b = value.to_f64();"), 2);
    assert_eq!(caught("src/actions/a.rs", "let a = 1.5; let b = 1e3;"), 2);
    assert_eq!(caught("src/domain/a.rs", "// an f64\nlet a = pair.0.1; for i in 0..10 {} let h = 0x1f64; let s = \"1.5 f64\"; let buf64 = 1;"), 0);
    assert_eq!(caught("src/web/a.rs", "let share: f64 = 0.5;"), 0);
}

#[test]
fn a_long_function_is_caught() {
    let function =
        |lines: usize| format!("//! A.\nimpl A {{\n    fn long(a: [u8; 2]) {{\n{}    }}\n}}\n", "        work(\"}\"); // }\n".repeat(lines - 2));
    let caught = |lines| long_functions(&Source::new("src/domain/a.rs", &function(lines)));
    assert_eq!(caught(LONGEST_FUNCTION_LINES), Vec::<String>::new());
    let long = caught(LONGEST_FUNCTION_LINES + 1);
    assert_eq!(long.len(), 1);
    assert!(long[0].starts_with("src/domain/a.rs:3: 'long' has 61 lines"), "{long:?}");
    assert_eq!(long_functions(&Source::new("src/a.rs", "trait T { fn f(&self); }\ntype F = fn(u8);")), Vec::<String>::new());
}

#[test]
fn a_large_file_is_caught() {
    let caught = |bytes| large_file(&Source::new("src/domain/a.rs", &"/".repeat(bytes))).len();
    assert_eq!((caught(LARGEST_FILE_BYTES - 1), caught(LARGEST_FILE_BYTES)), (0, 1));
}

#[test]
fn unfinished_work_is_caught() {
    let caught = |text| unfinished(&Source::new("src/domain/a.rs", text)).len();
    assert_eq!(caught("fn f() { todo!() }\nfn g() { unimplemented!(\"later\") }\nfn h() { dbg!(1); }"), 3);
    assert_eq!(caught("#[test]\n#[ignore]\nfn f() {}\n#[ignore = \"slow\"]\nfn g() {}\n#[cfg_attr(windows, ignore)]\nfn h() {}"), 3);
    assert_eq!(caught("// todo!()\nlet ignore = \"dbg!(x) #[ignore]\"; let todo = !ignore; #[derive(Debug)] struct A;"), 0);
}

#[test]
fn a_second_clock_is_caught() {
    let caught = |path, text| time_of_day(&Source::new(path, text)).len();
    assert_eq!(caught("src/web/a.rs", "let a = chrono::Utc::now();\nlet b = SystemTime::now();\nlet c = Local::now();"), 3);
    assert_eq!(caught("src/clock.rs", "Utc::now()"), 0);
    assert_eq!(caught("src/cli/a.rs", "let seed = SystemTime::now(); // tidy: clock, a seed is no date"), 0);
    assert_eq!(caught("src/cli/a.rs", "// Utc::now\nlet a = context.clock.now(); let b = Instant::now();"), 0);
}

#[test]
fn a_placeholder_out_of_order_is_caught() {
    let caught = |text| unordered_placeholders(&Source::new("src/db/a.rs", text)).len();
    assert_eq!(caught(r#"f("SELECT a FROM b WHERE c = $2 AND d = $1")"#), 1);
    assert_eq!(caught(r#"f("c = $1 AND d = $3 \"x\"", "c = $4 OR e = $2")"#), 1);
    assert_eq!(caught(r#"f("c = $1 AND (d = $2 OR d = $1) LIMIT $10", "$1") // "$2 $1""#), 0);
}

#[test]
fn a_module_without_opening_is_caught() {
    let caught = |text| missing_opening(&Source::new("src/domain/a.rs", text)).len();
    assert_eq!((caught(""), caught("use std::fmt;\n//! Late."), caught("// Not a doc."), caught("//!\n")), (1, 1, 1, 1));
    assert_eq!(caught("//! What belongs here.\nuse std::fmt;"), 0);
}

#[test]
fn a_migration_for_one_database_is_caught() {
    let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
    let [one, both] = [set(&["1_house/up.sql"]), set(&["1_house/up.sql", "2_rates/up.sql"])];
    assert_eq!(different_migrations(&one, &both), ["migrations/sqlite/2_rates/up.sql is missing: migrations/postgres has it"]);
    assert_eq!(different_migrations(&both, &one), ["migrations/postgres/2_rates/up.sql is missing: migrations/sqlite has it"]);
    assert_eq!(different_migrations(&both, &both), Vec::<String>::new());
}

#[test]
fn comments_and_literals_are_told_from_code() {
    let code = |text| Source::new("src/a.rs", text).code;
    assert_eq!(code("a /* b /* c */ d */ e"), "a                   e");
    assert_eq!(code(r#"f("x\"y", 'z', '\'', b'"', 'ü') // "#), "f(      ,    ,     , b   ,     )    ");
    assert_eq!(code("r#\"a\"b\"# + br\"c\\\" + r#type"), "         +        + r#type");
    assert_eq!(code("fn f<'a>(x: &'a str) {}"), "fn f<'a>(x: &'a str) {}");
    assert_eq!(code("\"a\nb\" c"), "  \n   c");
}

// --- The rules --------------------------------------------------------------------------------------------------

fn arrows(source: &Source) -> Vec<String> {
    let layer = source.layer();
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
        return vec![source.at(0, &format!("'{layer}' is no layer of the house: give it a row in LAYERS of tests/tidy.rs, or another place"))];
    };
    let list = if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") };
    let wrong = |target: &str| target != layer && !allowed.contains(&target);
    imports(source)
        .into_iter()
        .filter(|(_, target)| wrong(target))
        .map(|(offset, target)| source.at(offset, &format!("'{layer}' may not import '{target}' (it may import: {list})")))
        .collect()
}

fn foreign_crates(source: &Source) -> Vec<String> {
    let layer = source.layer();
    let of = |word: &str, name: &str| word == name || word.strip_prefix(name).is_some_and(|rest| rest.starts_with('_'));
    let words = source.tokens();
    let diesel = words.iter().filter(|(_, word)| WITHOUT_DIESEL.contains(&layer) && of(word, "diesel"));
    let actix = words.iter().filter(|(_, word)| !WITH_ACTIX.contains(&layer) && of(word, "actix"));
    diesel.chain(actix).map(|(offset, word)| source.at(*offset, &format!("'{layer}' may not know '{word}'"))).collect()
}

fn raw_transactions(source: &Source) -> Vec<String> {
    if source.layer() == "db" {
        return Vec::new();
    }
    let tokens = source.tokens();
    let calls = tokens.windows(3).filter_map(|three| match three {
        [(_, "."), (offset, name), (_, "(" | ":")] if RAW_TRANSACTIONS.contains(name) => Some(*offset),
        _ => None,
    });
    let statements = tokens_of(&source.with_literals).into_iter().filter_map(|(offset, word)| {
        let armour = source.with_literals[..offset].ends_with('-');
        (word == "BEGIN" && !armour).then_some(offset)
    });
    calls.chain(statements).map(|offset| source.at(offset, "a raw transaction outside src/db: use Database::write or Database::snapshot")).collect()
}

fn floats(source: &Source) -> Vec<String> {
    if !WITHOUT_FLOATS.contains(&source.layer()) {
        return Vec::new();
    }
    let tokens = source.tokens();
    let named = tokens.iter().filter(|(_, word)| names_float(word));
    let literals = tokens.iter().enumerate().filter(|(at, _)| is_float_literal(&tokens, *at)).map(|(_, token)| token);
    named.chain(literals).map(|(offset, _)| source.at(*offset, "a float near money: use Money, Decimal or a scaled integer")).collect()
}

/// `f64`, `2f64`, `to_f64`; not `buf64`, nor the number `0x1f64`.
fn names_float(word: &str) -> bool {
    let Some(before) = word.strip_suffix("f64").or_else(|| word.strip_suffix("f32")) else {
        return false;
    };
    let number_or_part = before.ends_with(|c: char| c.is_ascii_digit() || c == '_');
    before.is_empty() || (number_or_part && !before.starts_with("0x"))
}

/// `1.5` or `1e3`; not `pair.0.1`, nor `0..10`.
fn is_float_literal(tokens: &[Token<'_>], at: usize) -> bool {
    let digits = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let (offset, word) = tokens[at];
    if word.split_once('e').is_some_and(|(mantissa, exponent)| digits(mantissa) && digits(exponent) && !mantissa.starts_with('_')) {
        return true;
    }
    let field = at > 0 && tokens[at - 1].1 == ".";
    let fraction = matches!(tokens.get(at + 1..at + 3), Some([(dot, "."), (next, fraction)])
        if *dot == offset + word.len() && *next == dot + 1 && fraction.starts_with(|c: char| c.is_ascii_digit()));
    digits(word) && word.starts_with(|c: char| c.is_ascii_digit()) && !field && fraction
}

fn long_functions(source: &Source) -> Vec<String> {
    let tokens = source.tokens();
    let starts = (0..tokens.len().saturating_sub(1)).filter(|&at| tokens[at].1 == "fn" && is_word(tokens[at + 1].1));
    let longer = starts.filter_map(|at| {
        let (offset, name) = (tokens[at].0, tokens[at + 1].1);
        let lines = source.line(function_end(&tokens[at..])?) - source.line(offset) + 1;
        (lines > LONGEST_FUNCTION_LINES).then(|| source.at(offset, &format!("'{name}' has {lines} lines, more than {LONGEST_FUNCTION_LINES}")))
    });
    longer.collect()
}

/// Where the function that begins at the first token ends; nothing for one without a body.
fn function_end(tokens: &[Token<'_>]) -> Option<usize> {
    let (mut brackets, mut braces) = (0_usize, 0_usize);
    for (offset, token) in tokens {
        match *token {
            "(" | "[" => brackets += 1,
            ")" | "]" => brackets = brackets.saturating_sub(1),
            ";" if brackets == 0 && braces == 0 => return None,
            "{" => braces += 1,
            "}" => {
                braces = braces.saturating_sub(1);
                if braces == 0 {
                    return Some(*offset);
                }
            }
            _ => {}
        }
    }
    None
}

fn large_file(source: &Source) -> Vec<String> {
    let bytes = source.text.len();
    let large = bytes >= LARGEST_FILE_BYTES;
    large.then(|| source.at(0, &format!("the file has {bytes} bytes: split it below {LARGEST_FILE_BYTES}"))).into_iter().collect()
}

fn unfinished(source: &Source) -> Vec<String> {
    let tokens = source.tokens();
    let macros = tokens
        .windows(2)
        .filter(|two| matches!(two, [(_, "todo" | "unimplemented" | "dbg"), (_, "!")]) && !source.code[two[1].0..].starts_with("!="));
    let ignored = tokens.windows(3).filter(|three| matches!(three, [(_, "["), (_, "ignore"), (_, "]" | "=")] | [(_, ","), (_, "ignore"), (_, ")")]));
    let macros = macros.map(|two| source.at(two[0].0, &format!("{}! does not belong in finished work", two[0].1)));
    macros.chain(ignored.map(|three| source.at(three[1].0, "an ignored test tests nothing: repair it or remove it"))).collect()
}

fn time_of_day(source: &Source) -> Vec<String> {
    if source.path == "src/clock.rs" {
        return Vec::new();
    }
    let tokens = source.tokens();
    let asks = tokens.windows(4).filter(|four| matches!(four, [(_, "Utc" | "Local" | "SystemTime"), (_, ":"), (_, ":"), (_, "now")]));
    let excepted = |offset| source.text.lines().nth(source.line(offset) - 1).is_some_and(|line| line.contains("tidy: clock"));
    asks.map(|four| four[0].0)
        .filter(|offset| !excepted(*offset))
        .map(|offset| source.at(offset, "the clock is a parameter: take a crate::clock::Clock"))
        .collect()
}

/// SQLite numbers `$1`, `$2`, … by their first appearance in the text, PostgreSQL by their digits: in order they mean the
/// same. A text is one literal; one that is put together of several is the writer's care.
fn unordered_placeholders(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (offset, literal) in literals(&source.with_literals) {
        let mut highest = 0;
        for piece in literal.split('$').skip(1) {
            let digits: String = piece.chars().take_while(char::is_ascii_digit).collect();
            let Ok(number) = digits.parse::<u32>() else { continue };
            let known = number <= highest
                && literal.find(&format!("${number}")).is_some_and(|first| first < piece.as_ptr().addr() - literal.as_ptr().addr() - 1);
            if !known && number < highest {
                found.push(
                    source.at(offset, &format!("${number} appears for the first time after ${highest}: SQLite binds by the order of appearance")),
                );
            }
            highest = highest.max(number);
        }
    }
    found
}

/// Texts in double quotes and where each begins; comments are blank already.
fn literals(code: &str) -> Vec<(usize, &str)> {
    let mut literals = Vec::new();
    let mut start = None;
    let mut escaped = false;
    for (offset, letter) in code.char_indices() {
        match (letter, start) {
            ('"', None) if !code[..offset].ends_with('\'') => start = Some(offset + 1),
            ('"', Some(from)) if !escaped => {
                literals.push((from, &code[from..offset]));
                start = None;
            }
            _ => {}
        }
        escaped = letter == '\\' && !escaped;
    }
    literals
}

fn missing_opening(source: &Source) -> Vec<String> {
    let opening = source.text.lines().next().and_then(|line| line.strip_prefix("//!")).unwrap_or_default();
    let missing = opening.trim().is_empty();
    missing.then(|| source.at(0, "a module opens with a //! comment that says what belongs there")).into_iter().collect()
}

fn different_migrations(sqlite: &BTreeSet<String>, postgres: &BTreeSet<String>) -> Vec<String> {
    let missing = |from: &str, other: &str, name: &String| format!("migrations/{from}/{name} is missing: migrations/{other} has it");
    let in_sqlite = postgres.difference(sqlite).map(|name| missing("sqlite", "postgres", name));
    in_sqlite.chain(sqlite.difference(postgres).map(|name| missing("postgres", "sqlite", name))).collect()
}

// --- Imports ----------------------------------------------------------------------------------------------------

/// The first name after `crate::` (or a `super::` that reaches as far), wherever a path is written, and where.
fn imports(source: &Source) -> Vec<(usize, String)> {
    let tokens = source.tokens();
    let mut module = source.module();
    let mut inline_until = Vec::new();
    let (mut braces, mut found) = (0_usize, Vec::new());
    for (at, (offset, word)) in tokens.iter().enumerate() {
        match *word {
            "{" => {
                braces += 1;
                if at >= 2 && tokens[at - 2].1 == "mod" {
                    module.push(tokens[at - 1].1.to_owned());
                    inline_until.push(braces);
                }
            }
            "}" => {
                if inline_until.last() == Some(&braces) {
                    inline_until.pop();
                    module.pop();
                }
                braces = braces.saturating_sub(1);
            }
            "crate" | "aquabills" if is_path(&tokens, at) => found.extend(heads(&tokens[at + 3..]).map(|name| (*offset, name))),
            "super" if is_path(&tokens, at) => {
                let supers = tokens[at..].chunks(3).take_while(|step| matches!(step, [(_, "super"), (_, ":"), (_, ":")])).count();
                if supers >= module.len() {
                    found.extend(heads(&tokens[at + 3 * supers..]).map(|name| (*offset, name)));
                }
            }
            _ => {}
        }
    }
    found
}

/// Whether a path begins at this token: `::` follows and none comes before.
fn is_path(tokens: &[Token<'_>], at: usize) -> bool {
    let is_colons = |two: Option<&[Token<'_>]>| matches!(two, Some([(_, ":"), (_, ":")]));
    is_colons(tokens.get(at + 1..at + 3)) && !(at >= 2 && is_colons(tokens.get(at - 2..at)))
}

/// The names that a path goes on with: one, or the first of each branch of a group. Macros and globs are none.
fn heads(rest: &[Token<'_>]) -> impl Iterator<Item = String> {
    let mut names = Vec::new();
    match rest {
        [(_, "{"), ..] => {
            let mut depth = 0_usize;
            for two in rest.windows(2) {
                let is_first = (two[0].1 == "{" && depth == 0) || (two[0].1 == "," && depth == 1);
                match two[0].1 {
                    "{" => depth += 1,
                    "}" => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
                if is_first && is_word(two[1].1) && two[1].1 != "self" {
                    names.push(two[1].1.to_owned());
                }
            }
        }
        [(_, name), (_, next), ..] if is_word(name) && *next != "!" => names.push((*name).to_owned()),
        [(_, name)] if is_word(name) => names.push((*name).to_owned()),
        _ => {}
    }
    names.into_iter()
}

// --- Source as text ---------------------------------------------------------------------------------------------

/// Where a word or a sign begins, and the word or the sign.
type Token<'a> = (usize, &'a str);

/// A file, and the same text with everything but code blanked out, at the same places.
struct Source {
    path: String,
    text: String,
    /// Comments and literals are spaces.
    code: String,
    /// Comments are spaces.
    with_literals: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let blanked = |kinds: &[Kind]| blank(text, kinds);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code: blanked(&[Kind::Comment, Kind::Literal]),
            with_literals: blanked(&[Kind::Comment]),
        }
    }

    /// The folder in `src`, or the file's name for a file directly in it.
    fn layer(&self) -> &str {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs")
    }

    /// The module's path from the root.
    fn module(&self) -> Vec<String> {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path).trim_end_matches(".rs");
        inner.split('/').filter(|name| !matches!(*name, "mod" | "lib" | "main")).map(str::to_owned).collect()
    }

    fn tokens(&self) -> Vec<Token<'_>> {
        tokens_of(&self.code)
    }

    fn line(&self, offset: usize) -> usize {
        self.code[..offset].matches('\n').count() + 1
    }

    fn at(&self, offset: usize, message: &str) -> String {
        format!("{}:{}: {message}", self.path, self.line(offset))
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Words whole, everything else sign by sign.
fn tokens_of(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut word_start = None;
    for (offset, c) in code.char_indices().chain([(code.len(), ' ')]) {
        if c.is_alphanumeric() || c == '_' {
            word_start.get_or_insert(offset);
            continue;
        }
        if let Some(start) = word_start.take() {
            tokens.push((start, &code[start..offset]));
        }
        if !c.is_whitespace() {
            tokens.push((offset, &code[offset..offset + c.len_utf8()]));
        }
    }
    tokens
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// The text with all pieces of these kinds as spaces; every byte and every line stays in its place.
fn blank(text: &str, kinds: &[Kind]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let (kind, length) = next_piece(&text.as_bytes()[at..]);
        if kinds.contains(&kind) {
            bytes[at..at + length].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        }
        at += length;
    }
    String::from_utf8(bytes).expect("pieces begin and end between characters")
}

fn next_piece(rest: &[u8]) -> (Kind, usize) {
    if rest.starts_with(b"//") {
        return (Kind::Comment, rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()));
    }
    if rest.starts_with(b"/*") {
        return (Kind::Comment, block_comment_length(rest));
    }
    if rest[0] == b'\'' {
        return character_length(rest).map_or((Kind::Code, 1), |length| (Kind::Literal, length));
    }
    let word = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_' || !byte.is_ascii()).count();
    let raw = rest[..word].ends_with(b"r");
    if matches!(&rest[..word], b"" | b"r" | b"b" | b"c" | b"br" | b"cr")
        && let Some(length) = string_length(&rest[word..], raw)
    {
        return (Kind::Literal, word + length);
    }
    (Kind::Code, word.max(1))
}

/// Block comments nest.
fn block_comment_length(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            (at, depth) = (at + 2, depth + 1);
        } else if rest[at..].starts_with(b"*/") {
            (at, depth) = (at + 2, depth - 1);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// The length of a character literal; nothing for a lifetime.
fn character_length(rest: &[u8]) -> Option<usize> {
    let body = &rest[1..];
    if body.first() == Some(&b'\\') {
        return body.iter().skip(2).position(|byte| *byte == b'\'').map(|at| at + 4);
    }
    let first = std::str::from_utf8(&body[..body.len().min(4)]).map_or_else(|error| error.valid_up_to(), str::len);
    let character = std::str::from_utf8(&body[..first]).ok()?.chars().next()?;
    (body.get(character.len_utf8()) == Some(&b'\'')).then(|| character.len_utf8() + 2)
}

/// The length of a string literal that begins here, after its prefix.
fn string_length(rest: &[u8], raw: bool) -> Option<usize> {
    let hashes = if raw { rest.iter().take_while(|byte| **byte == b'#').count() } else { 0 };
    if rest.get(hashes) != Some(&b'"') {
        return None;
    }
    let closing = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let mut at = hashes + 1;
    while at < rest.len() {
        if !raw && rest[at] == b'\\' {
            at += 2;
        } else if rest[at..].starts_with(&closing) {
            return Some(at + closing.len());
        } else {
            at += 1;
        }
    }
    Some(rest.len())
}

// --- Files ------------------------------------------------------------------------------------------------------

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file in these folders.
fn sources(folders: &[&str]) -> Vec<Source> {
    let mut files = Vec::new();
    for folder in folders {
        let before = files.len();
        collect(&root().join(folder), &mut files);
        assert!(files.len() > before, "no Rust file was found in {folder}");
    }
    files.sort();
    files.iter().map(|path| Source::new(&relative(path, &root()), &fs::read_to_string(path).expect("a Rust file is readable text"))).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for path in entries(folder) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Every file of one database's migrations, as `folder/file`.
fn migrations(folder: &Path) -> BTreeSet<String> {
    entries(folder).iter().filter(|path| path.is_dir()).flat_map(|path| entries(path)).map(|path| relative(&path, folder)).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let listing = fs::read_dir(folder).expect("the folder is readable");
    listing.map(|entry| entry.expect("the folder's entries are readable").path()).collect()
}

fn relative(path: &Path, base: &Path) -> String {
    path.strip_prefix(base).unwrap_or(path).to_string_lossy().into_owned()
}

fn hold(sources: &[Source], rule: fn(&Source) -> Vec<String>) {
    let violations: Vec<String> = sources.iter().flat_map(rule).collect();
    assert!(violations.is_empty(), "the rule is broken in {} places:\n{}", violations.len(), violations.join("\n"));
}
