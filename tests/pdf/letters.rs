//! Whatever people are called and however long it is: there is a PDF, and the true name is in it.

use aquabills::db::DbConnection;
use diesel::RunQueryDsl;

use crate::read_back::{assert_sound, facts, text};
use crate::support::Town;
use crate::{billed, pdf_of, words_of};

#[test]
fn every_name_can_be_printed() {
    let town = billed(Town::sqlite());
    let mut words = words_of(&town, "00001-0000001");
    for (name, kept) in [
        ("Αλέξης Παπαδόπουλος", true),
        ("Олена Ковальчук", true),
        ("Zoë Łukasiewicz-Ñandú", true),
        ("Nguyễn Thị Hồng", true),
        // What the typeface lacks is still the true text beneath.
        ("王小明", true),
        ("shop 🚰🔧", true),
        // Read from right to left, by rules that each reader has of its own: it is enough that there is a file.
        ("שלום כהן", false),
        ("محمد علي", false),
        // Accents that stand on no letter of Unicode's own.
        ("q̃x̌", true),
        ("Z̧ó̧e̊", false),
        ("a\u{0}b\u{feff}c\u{fffe}d\u{200d}e\u{e000}\u{10ffff}", false),
        ("\u{fffd}\u{fffd} 王", false),
        ("", false),
        ("   ", false),
    ] {
        words.name = name.to_owned();
        words.address = Some(format!("{name}\n\n{name}"));
        let made = pdf_of(&town, &words);
        assert_sound(&made);
        let told = text(&made);
        assert!(!kept || told.contains(name), "{name}: {}", told.lines().take(8).collect::<String>());
        assert!(told.contains("$24.66"), "{name}");
    }
}

#[test]
fn what_the_typeface_lacks_is_said() {
    let town = billed(Town::sqlite());
    let mut words = words_of(&town, "00001-0000001");
    words.name = "Zoë Łukasiewicz-Ñandú".to_owned();
    assert_eq!(aquabills::pdf::lacking(&words), "");
    words.address = Some("王小明\n王 Street".to_owned());
    assert_eq!(aquabills::pdf::lacking(&words), "小明王");
    let rename = |conn: &mut DbConnection| diesel::sql_query("UPDATE person SET name = '王小明'").execute(conn);
    town.context.database.write(rename).unwrap();
    let output = town.program(&["show", "00001-0000001", "--pdf", "bill.pdf"]);
    let told = crate::support::stderr(&output);
    assert!(output.status.success() && told.contains("lacks 小明王") && told.contains("/bills/00001-0000001"), "{told}");
}

#[test]
fn what_is_very_long_goes_on_over_pages_and_loses_nothing() {
    let town = billed(Town::sqlite());
    let mut words = words_of(&town, "00001-0000001");
    words.name = "W".repeat(3000);
    words.address = Some("a lane with many words ".repeat(400));
    words.entries[0].note = Some("x".repeat(20_000));
    words.how_to_pay = "Pay.\n".repeat(500);
    let made = pdf_of(&town, &words);
    assert_sound(&made);
    let told = text(&made);
    // Besides, 'What' and 'Water'.
    assert!((3000..3010).contains(&told.matches('W').count()), "{}", told.matches('W').count());
    assert_eq!(told.matches("lane").count(), 400);
    assert!(told.matches('x').count() >= 20_000);
    assert!(facts(&made)["Pages"].parse::<u32>().unwrap() > 5);
}
