//! The banks' own sample files through the program, and files that are wrong.

use serde_json::Value;

use super::support::{Town, on_both, shared_data, stderr, stdout};

/// File, format, entries, credits, debits, returns; no totals where the file is refused.
type Expected = (&'static str, &'static str, u64, i64, i64, u64);

const FILES: [Expected; 8] = [
    ("ach-return-web.ach", "ach", 2, 4_565, 12_354, 2),
    ("ach-dishonored-return.ach", "ach", 2, 0, 48_000, 2),
    ("ach-web-credit.ach", "ach", 1, 10_000, 0, 0),
    ("bai2-sample1.txt", "bai2", 17, 320_000, 320_000, 0),
    ("bai2-sample2.txt", "bai2", 4, 30_950_000, 0, 0),
    ("camt053-v2-minimal.xml", "camt053", 1, 885, 0, 0),
    ("camt053-v8.xml", "camt053", 1, 885, 0, 0),
    ("camt054-v2.xml", "camt054", 1, 0, 20_000_000, 0),
];

fn folder() -> std::path::PathBuf {
    let folder = shared_data().map(|folder| folder.join("bank"));
    folder.expect("the folder ../shared/data with the real data is beside the checkout")
}

fn import(town: &Town, path: &std::path::Path, more: &[&str]) -> (bool, Value, String) {
    let mut args = vec!["import", "bank", path.to_str().expect("a plain path"), "--json"];
    args.extend(more);
    let output = town.program(&args);
    (output.status.success(), serde_json::from_str(&stdout(&output)).unwrap_or_default(), stderr(&output))
}

on_both! {
    fn each_file_gives_its_totals_once(town: Town) {
        for (name, format, entries, credits, debits, returns) in FILES {
            let path = folder().join(name);
            let (done, dry, error) = import(&town, &path, &["--dry-run"]);
            assert!(done, "{name}: {error}");
            assert_eq!((&dry["dry_run"], &dry["file_id"]), (&Value::Bool(true), &Value::Null), "{name}");
            let (done, first, error) = import(&town, &path, &[]);
            assert!(done, "{name}: {error}");
            let told = |key: &str| first[key].clone();
            assert_eq!(told("format"), format, "{name}");
            assert_eq!(
                (told("entries"), told("credits_cents"), told("debits_cents"), told("returns")),
                (entries.into(), credits.into(), debits.into(), returns.into()),
                "{name}"
            );
            assert_eq!((told("accepted"), told("unchanged")), (entries.into(), 0.into()), "{name}");
            for key in ["accepted", "applied", "waiting", "set_aside", "statements"] {
                assert_eq!(dry[key], first[key], "{name}: a dry run says what an import does: {key}");
            }
            let (done, again, error) = import(&town, &path, &[]);
            assert!(done, "{name}: {error}");
            assert_eq!((again["accepted"].clone(), again["unchanged"].clone()), (0.into(), entries.into()), "{name}");
        }
        // No account is there: nothing was applied, all of it is kept.
        let output = town.program(&["bank", "list", "--json"]);
        let listed: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        assert_eq!(listed["rows"].as_array().expect("rows").len(), FILES.len());
        assert_eq!(town.check().faults, 0);
    }

    fn a_wrong_file_is_refused_with_its_place(town: Town) {
        let before = crate::support::dump(&town);
        let (done, told, error) = import(&town, &folder().join("camt053-v2-wrong.xml"), &[]);
        assert!(!done && told.is_null());
        for word in ["camt053-v2-wrong.xml", "Stmt", "expected"] {
            assert!(error.contains(word), "{word}: {error}");
        }
        let totals = [
            ("bai2-sample1.txt", "49,+00000000000834000,14/", "49,+00000000000834001,14/"),
            ("bai2-sample2.txt", "98,13150000,2,11/", "98,13150000,2,12/"),
        ];
        for (name, right, changed) in totals {
            let text = std::fs::read_to_string(folder().join(name)).expect("the sample is read");
            let wrong = text.replacen(right, changed, 1);
            assert_ne!(text, wrong);
            let (done, _, error) = import(&town, &town.file(name, &wrong), &[]);
            assert!(!done && error.contains(name) && error.contains("line "), "{name}: {error}");
        }
        // Cut off, the wrong format, no format, nothing.
        let text = std::fs::read_to_string(folder().join("ach-return-web.ach")).expect("the sample is read");
        assert!(!import(&town, &town.file("cut.ach", &text[..500]), &[]).0);
        assert!(!import(&town, &folder().join("ach-return-web.ach"), &["--format", "bai2"]).0);
        assert!(!import(&town, &town.file("odd.txt", "hello"), &[]).0);
        assert!(!import(&town, &town.file("empty.txt", ""), &[]).0);
        assert!(!import(&town, &town.dir.path().join("nowhere.txt"), &[]).0);
        assert!(!import(&town, town.dir.path(), &[]).0);
        let (_, _, error) = import(&town, &folder().join("camt053-v8.xml"), &["--format", "camt054"]);
        assert!(error.contains("it is ISO 20022 camt.053, not ISO 20022 camt.054"), "{error}");
        let (_, _, error) = import(&town, &folder().join("camt053-v8.xml"), &["--mapping", "nobodys"]);
        assert!(error.contains("there is no mapping 'nobodys'"), "{error}");
        assert_eq!(crate::support::dump(&town), before, "a refusal changes nothing");
    }

    fn a_packed_file_is_the_same_file(town: Town) {
        use std::io::Write as _;
        let bytes = std::fs::read(folder().join("camt053-v8.xml")).expect("the sample is read");
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(&bytes).expect("it is packed");
        let path = town.dir.path().join("camt053.xml.gz");
        std::fs::write(&path, packed.finish().expect("it is packed")).expect("it is written");
        assert!(import(&town, &path, &[]).0);
        let (_, again, _) = import(&town, &folder().join("camt053-v8.xml"), &[]);
        assert_eq!(again["unchanged"], 1);
    }

    fn mappings_are_saved_by_name(town: Town) {
        let path = town.file("ops.toml", crate::MAPPING);
        let path = path.to_str().expect("a plain path");
        assert!(town.program(&["bank", "mapping", "save", "ops", path]).status.success());
        assert_eq!(stdout(&town.program(&["bank", "mapping", "show", "ops"])).trim(), crate::MAPPING.trim());
        assert!(stdout(&town.program(&["bank", "mapping", "list"])).starts_with("ops "));
        let wrong = town.file("wrong.toml", &crate::MAPPING.replace("YYYY-MM-DD", "never"));
        let refused = town.program(&["bank", "mapping", "save", "ops", wrong.to_str().expect("a plain path")]);
        assert!(!refused.status.success() && stderr(&refused).contains("date_format"), "{}", stderr(&refused));
        let wrong = town.file("wrong.toml", "colour = 1");
        let refused = town.program(&["bank", "mapping", "save", "ops", wrong.to_str().expect("a plain path")]);
        assert!(!refused.status.success() && stderr(&refused).contains("colour"), "{}", stderr(&refused));
        assert!(!town.program(&["bank", "mapping", "save", "a name", path]).status.success());
        let file = town.file("day.csv", &format!("{}\n2026-06-10,5.00,x,,,,1\n", crate::COLUMNS));
        let (done, told, error) = import(&town, &file, &["--mapping", "ops"]);
        assert!(done, "{error}");
        assert_eq!((told["format"].as_str(), told["credits_cents"].as_i64()), (Some("csv"), Some(500)));
        assert!(!import(&town, &file, &["--format", "csv"]).0, "a CSV file needs a mapping");
        assert!(town.program(&["bank", "mapping", "remove", "ops"]).status.success());
        assert!(!town.program(&["bank", "mapping", "show", "ops"]).status.success());
    }
}

on_both! {
    fn what_is_doubtful_is_told_on_the_command_line(town: Town) {
        let town = crate::town(town);
        let bare = town.file("bare.toml", &crate::MAPPING.replace("bank_reference = \"id\"\n", ""));
        let saved = town.program(&["bank", "mapping", "save", "bare", bare.to_str().expect("a plain path")]);
        assert!(saved.status.success() && stderr(&saved).contains("without bank_reference, files that overlap are told apart only by"), "{}", stderr(&saved));
        let good = town.file("ops.toml", crate::MAPPING);
        assert_eq!(stderr(&town.program(&["bank", "mapping", "save", "ops", good.to_str().expect("a plain path")])), "");
        let row = |name: &str, amount: &str, account: &str| town.file(name, &format!("{}\n2026-06-10,{amount},{account},,,,E-1\n", crate::COLUMNS));
        assert!(import(&town, &row("1.csv", "5.00", "A-1001"), &["--mapping", "ops"]).0);
        assert_eq!(import(&town, &row("2.csv", "6.00", "A-1001"), &["--mapping", "ops"]).1["waiting"], 1);
        let shown = stdout(&town.program(&["bank", "movement", "2"]));
        assert!(shown.contains("in file 1.csv (movement 1); expected") && shown.contains("beside it: 1  applied  2026-06-10  5.00  A-1001  file 1, line 2"), "{shown}");
        let (done, told, error) = import(&town, &row("3.csv", "5.00", "A-1002"), &["--mapping", "ops"]);
        assert!(done && error.contains("3.csv: line 2: unchanged, but it names A-1002 now, A-1001 then (movement 1)"), "{error}");
        assert_eq!(told["unchanged"], 1);
        // Read by another mapping the file is refused, and the program says so by its exit status.
        let other = town.file("other.toml", &crate::MAPPING.replace("OPS-1", "OPS-2"));
        assert!(town.program(&["bank", "mapping", "save", "other", other.to_str().expect("a plain path")]).status.success());
        let refused = town.program(&["import", "bank", town.dir.path().join("1.csv").to_str().expect("a plain path"), "--mapping", "other"]);
        assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
        assert!(stderr(&refused).contains("stands under bank account OPS-1") && stderr(&refused).contains("`aquabills bank undo 1`"), "{}", stderr(&refused));
    }

    fn faults_of_a_whole_file_are_told_whole(town: Town) {
        let town = crate::town(town);
        let (_, _, error) = import(&town, &town.file("empty.csv", ""), &["--mapping", "ops"]);
        assert!(error.contains("empty.csv: it is empty: expected"), "{error}");
        let cut = town.file("cut.xml", "<?xml version=\"1.0\"?><Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02\"><BkToCstmrStmt><!-- cut");
        let (_, _, error) = import(&town, &cut, &[]);
        assert!(error.contains("not well-formed") && !error.contains('…'), "{error}");
        let listed = town.program(&["bank", "credits", "list", "--json"]);
        assert_eq!(serde_json::from_str::<Value>(&stdout(&listed)).expect("JSON"), serde_json::json!({"rows": []}));
    }
}

/// Files that a bank would not send: each is refused or taken, and never does more than that.
#[test]
fn hostile_files_are_refused() {
    let town = crate::town(Town::sqlite());
    let before = crate::support::dump(&town);
    let camt = crate::camt("053", "X", "2026-06-10", &[crate::Booking { cents: 100, bank_ref: "B1", reference: "A-1001", ..Default::default() }]);
    let bomb = "<!DOCTYPE a [<!ENTITY b \"bbbbbbbbbb\"><!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\">]>";
    let hostile: Vec<(&str, Vec<u8>)> = vec![
        ("bytes", (0..=255).cycle().take(100_000).collect()),
        ("zeros", vec![0; 1_000_000]),
        ("long line", [b"01,".to_vec(), vec![b'9'; 3_000_000]].concat()),
        ("deep", [b"<?xml version=\"1.0\"?>".to_vec(), b"<a>".repeat(200_000)].concat()),
        ("entities", camt.replacen("<Document", &format!("{bomb}<Document"), 1).into_bytes()),
        ("day", camt.replace("2026-06-10", "9999-12-31").into_bytes()),
        ("long ago", camt.replace("2026-06-10", "0001-01-01").into_bytes()),
        ("amount", camt.replace(">1.00<", ">99999999999999999999.00<").into_bytes()),
        ("fraction", camt.replace(">1.00<", ">1.001<").into_bytes()),
        ("minus", camt.replace(">1.00<", ">-1.00<").into_bytes()),
        ("cut", camt.as_bytes()[..camt.len() - 30].to_vec()),
        ("large", vec![b' '; 33 * 1024 * 1024]),
    ];
    for (name, bytes) in hostile {
        let error = crate::try_file(&town, name, &bytes).expect_err(name).to_string();
        assert!(error.starts_with(&format!("{name}: ")), "{error}");
    }
    assert_eq!(crate::support::dump(&town), before);
}
