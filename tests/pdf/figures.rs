//! Page and paper say the same: for bills of every kind, on both databases.

use aquabills::actions::bill_run::roll_back_run;
use aquabills::actions::bill_words::BillWords;
use aquabills::actions::demo::{TownOptions, make_town};
use aquabills::actions::show_bill::show_bill;
use aquabills::config::Paper;
use aquabills::domain::ids::RunId;
use aquabills::domain::roles::Role;

use crate::read_back::{assert_sound, difference, facts, structure, text};
use crate::support::http::{Browser, Served};
use crate::support::moves::{leaves, reading};
use crate::support::{Town, on_both, stderr, stdout};
use crate::{billed, fetch, pdf_of, words_of};

/// No bill of every day is larger.
const LARGEST_BYTES: usize = 100_000;

/// Fails unless page and file of a bill agree; the text of the file.
fn agree(browser: &mut Browser, number: &str) -> String {
    let page = browser.get(&format!("/bills/{number}"));
    assert_eq!(page.status, 200);
    let file = fetch(browser, &format!("/bills/{number}.pdf"));
    assert_eq!(file.status, 200, "{}", file.head);
    assert_eq!(difference(&page.body, &file.bytes), None, "bill {number}");
    assert!(file.bytes.len() < LARGEST_BYTES, "bill {number} has {} bytes", file.bytes.len());
    text(&file.bytes)
}

/// A text in one line.
fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

on_both! {
    fn every_figure_of_the_page_is_on_paper_and_no_other(town: Town) {
        let mut town = billed(town);
        let served = Served::new(&mut town);
        let mut clerk = served.staff(Role::Clerk);
        let owed = agree(&mut clerk, "00001-0000001");
        for words in ["Amount due", "$24.66", "Payment slip", "Payments received", "−$12.34", "BK-1", "Please pay by", "Page 1 of 1"] {
            assert!(owed.contains(words), "{words}: {owed}");
        }
        let credit = agree(&mut clerk, "00001-0000002");
        assert!(credit.contains("Nothing to pay") && credit.contains("credit") && !credit.contains("Payment slip"), "{credit}");
    }

    fn a_bill_that_is_settled_asks_for_nothing_any_more(town: Town) {
        let mut town = billed(town);
        let issued = BillWords::as_issued(&show_bill(&town.context, "00001-0000001").unwrap(), &town.context);
        town.pay("A1", "24.66", "BK-3");
        assert_eq!(BillWords::as_issued(&show_bill(&town.context, "00001-0000001").unwrap(), &town.context), issued, "the file in the mail stays");
        let served = Served::new(&mut town);
        let mut clerk = served.staff(Role::Clerk);
        let settled = in_one_line(&agree(&mut clerk, "00001-0000001"));
        for words in ["This bill asked for", "Nothing is due now.", "its balance is now $0.00"] {
            assert!(settled.contains(words), "{words}: {settled}");
        }
        for words in ["Please pay by", "Payment slip", "How to pay"] {
            assert!(!settled.contains(words), "{words}: {settled}");
        }
    }

    fn a_bill_of_which_a_part_is_paid_says_what_is_left(town: Town) {
        let mut town = billed(town);
        town.pay("A1", "20.00", "BK-3");
        let served = Served::new(&mut town);
        let left = in_one_line(&agree(&mut served.staff(Role::Clerk), "00001-0000001"));
        assert!(left.contains("its balance is now $4.66, which is to be paid") && left.contains("How to pay"), "{left}");
        assert!(!left.contains("Payment slip") && !left.contains("Please pay by"), "{left}");
    }

    fn the_bills_of_a_whole_town_agree(town: Town) {
        let mut town = town;
        make_town(&town.context, town.dir.path(), TownOptions { accounts: 24, months: 24 }, &|_, _| {}).expect("a town");
        let served = Served::new(&mut town);
        let mut clerk = served.staff(Role::Clerk);
        let mut numbers: Vec<String> = town.bills().iter().map(|row| row[0].to_owned()).collect();
        numbers.dedup();
        let mut seen = String::new();
        // Every fifth, and all of the last runs.
        let recent = numbers.len().saturating_sub(40);
        for (_, number) in numbers.iter().enumerate().filter(|(at, _)| at % 5 == 0 || *at >= recent) {
            seen += &agree(&mut clerk, number);
        }
        // What the town is to show, or the comparison says little.
        let kinds = ["Estimated.", "Corrections", "Payment slip", "Sewer at", "Stormwater at", "Discounts", "The rates changed within this period"];
        let missing: Vec<&str> = kinds.into_iter().filter(|words| !seen.contains(words)).collect();
        assert_eq!(missing, Vec::<&str>::new(), "no bill of these kinds among {}", numbers.len());
    }

    fn a_bill_that_was_taken_back_says_so_first(town: Town) {
        let mut town = billed(town);
        roll_back_run(&town.context, RunId(1), "wrong reads", |_, _| {}).expect("it is taken back");
        let served = Served::new(&mut town);
        let mut clerk = served.staff(Role::Clerk);
        let told = agree(&mut clerk, "00001-0000001");
        assert!(told.contains("THIS BILL WAS TAKEN BACK") && told.contains("Please do not pay it"), "{told}");
        assert!(!told.contains("Payment slip") && !told.contains("How to pay"), "{told}");
        assert!(told.find("TAKEN BACK") < told.find("Amount due"), "{told}");
    }

    fn a_final_bill_is_called_so(town: Town) {
        let mut town = billed(town);
        leaves(&town, "A1", "S1", "2026-06-14", vec![reading("M1", 120)]).expect("they leave");
        assert_eq!(town.bill("2026-06-14").totals.billed, 1);
        let served = Served::new(&mut town);
        let told = agree(&mut served.staff(Role::Clerk), "00002-0000001");
        assert!(told.contains("Final bill of") && told.contains("(final)"), "{told}");
    }

    fn sixty_lines_go_over_several_pages(town: Town) {
        let mut town = many_lines(town);
        let served = Served::new(&mut town);
        let mut clerk = served.staff(Role::Clerk);
        let told = agree(&mut clerk, "00001-0000001");
        assert!(["2", "3"].iter().any(|pages| told.contains(&format!("Page 1 of {pages}"))), "{told}");
        assert!(told.contains("tier 60"), "{told}");
    }

    fn nobody_gets_the_file_of_another(town: Town) {
        let mut town = town;
        town.tariff(crate::support::TARIFF).expect("the tariff is accepted");
        let rows = "A1,S1,HOME,M1,4,Ann One,ann@town.example\nA2,S2,HOME,M2,4,Bob Two,bob@town.example\n";
        town.services(&format!("customer_id,service_id,rate_class,meter_id,register_digits,name,email\n{rows}")).expect("the services are read");
        town.reads(&["M1,2026-05-01,100", "M2,2026-05-01,100", "M1,2026-06-01,112", "M2,2026-06-01,104"]);
        town.bill("2026-06-01");
        let served = Served::new(&mut town);
        let ann = served.customer("ann@town.example");
        let own = fetch(&ann, "/bills/00001-0000001.pdf");
        assert_eq!(own.status, 200);
        let head = own.head.to_lowercase();
        for line in ["content-type: application/pdf", "attachment; filename=\"bill-00001-0000001.pdf\"", "cache-control: no-store"] {
            assert!(head.contains(line), "{head}");
        }
        assert!(text(&own.bytes).contains("Ann One"));
        for path in ["/bills/00001-0000002.pdf", "/bills/00009-0000001.pdf", "/bills/x.pdf", "/bills/.pdf", "/bills/00001-0000002.PDF"] {
            let refused = fetch(&ann, path);
            assert_eq!(refused.status, 404, "{path}");
            assert!(!refused.bytes.starts_with(b"%PDF"));
        }
        assert_eq!(fetch(&served.browser(), "/bills/00001-0000001.pdf").status, 303);
    }

    fn the_same_bill_is_the_same_file_wherever_it_is_made(town: Town) {
        let mut town = billed(town);
        let words = words_of(&town, "00001-0000001");
        let made = pdf_of(&town, &words);
        assert_eq!(made, pdf_of(&town, &words_of(&town, "00001-0000001")));
        let output = town.program(&["show", "00001-0000001", "--pdf", "bill.pdf"]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!((stdout(&output).as_str(), stderr(&output).contains("bill.pdf")), ("", true));
        assert!(std::fs::read(town.dir.path().join("bill.pdf")).unwrap() == made, "the command writes another file");
        let lost = town.program(&["show", "00001-0000001", "--pdf", "no/such/folder/bill.pdf"]);
        assert!(!lost.status.success() && stderr(&lost).contains("no/such/folder/bill.pdf"), "{}", stderr(&lost));
        assert!(facts(&made)["Page size"].starts_with("612 x 792"), "{:?}", facts(&made));
        town.configure(|config| config.paper = Paper::A4);
        assert!(facts(&pdf_of(&town, &words))["Page size"].contains("A4"), "{:?}", facts(&pdf_of(&town, &words)));
    }

    fn a_wrong_figure_on_paper_is_found(town: Town) {
        let mut town = billed(town);
        let right = words_of(&town, "00001-0000001");
        let served = Served::new(&mut town);
        let page = served.staff(Role::Clerk).get("/bills/00001-0000001").body;
        assert_eq!(difference(&page, &pdf_of(&town, &right)), None);
        let mut wrong = Vec::new();
        let changes: [fn(&mut BillWords); 8] = [
            |words| words.amount_due = "$29.67".to_owned(),
            |words| words.payments = words.charges.clone(),
            |words| words.entries.clear(),
            |words| words.segments[0].groups[0].lines[0].amount = "$10.01".to_owned(),
            |words| words.segments[0].reads[0].to = "113".to_owned(),
            |words| words.due_on += chrono::TimeDelta::days(1),
            |words| words.deducted = None,
            |words| words.entries.push(words.entries[0].clone()),
        ];
        for change in changes {
            let mut words = right.clone();
            change(&mut words);
            wrong.push(difference(&page, &pdf_of(&town, &words)).is_some());
        }
        assert!(wrong.iter().all(|found| *found), "{wrong:?}");
    }
}

/// A town whose tariff has so many tiers that a bill has more than sixty lines.
fn many_lines(town: Town) -> Town {
    let starts: Vec<String> = (0..60).map(|tier| (tier * 2).to_string()).collect();
    let prices: Vec<String> = (0..60).map(|tier| format!("{}.{:02}", 1 + tier / 10, tier % 10 * 10 + 5)).collect();
    let tariff = format!(
        "metadata:\n  effective_date: 2020-01-01\n  utility_name: Long town\n  bill_frequency: monthly\n  bill_unit: ccf\n\
         aquabills:\n  tier_rule: boundary\nrate_structure:\n  HOME:\n    service_charge: 10.00\n    tier_starts: [{}]\n    tier_prices: [{}]\n    \
         commodity_charge: Tiered\n    bill: service_charge+commodity_charge\n",
        starts.join(", "),
        prices.join(", ")
    );
    town.tariff(&tariff).expect("the tariff is accepted");
    town.services("customer_id,service_id,rate_class,meter_id,register_digits\nA1,S1,HOME,M1,4\n").expect("the services are read");
    town.reads(&["M1,2026-05-01,100", "M1,2026-06-01,250"]);
    assert_eq!(town.bill("2026-06-01").totals.billed, 1);
    town
}

#[test]
fn whoever_does_not_see_it_finds_a_structure() {
    let town = billed(Town::sqlite());
    let made = pdf_of(&town, &words_of(&town, "00001-0000001"));
    assert_sound(&made);
    let facts = facts(&made);
    assert_eq!((facts["Tagged"].as_str(), facts["Pages"].as_str(), facts["Encrypted"].as_str()), ("yes", "1", "no"));
    assert_eq!(facts["Title"], "Bill of 1 Jun 2026, AquaBills".replace("1 Jun", &bill_day(&town)), "{facts:?}");
    let bytes = String::from_utf8_lossy(&made);
    assert!(bytes.contains("pdfuaid"), "it does not say that it is PDF/UA");
    let structure = structure(&made);
    for (part, least) in [("H1", 1), ("H2", 5), ("H3", 2), ("Table", 5), ("TH", 20), ("TD", 15), ("TR", 15), ("P ", 6)] {
        let found = structure.lines().filter(|line| line.trim_start().starts_with(part)).count();
        assert!(found >= least, "{found} of {part}:\n{structure}");
    }
    // In the order in which it is read.
    let headings = [
        "H1 \"Bill of",
        "H2 \"Amount due",
        "H2 \"How it comes",
        "H2 \"Water",
        "H3 \"Meter reads",
        "H3 \"Charges",
        "H2 \"How to pay",
        "H2 \"Payment slip",
    ];
    let places: Vec<usize> = headings.iter().map(|words| structure.find(words).unwrap_or_else(|| panic!("no {words} in\n{structure}"))).collect();
    assert!(places.is_sorted(), "{places:?}\n{structure}");
    assert!(!structure.contains("Page 1 of 1"), "page numbers are decoration:\n{structure}");
}

fn bill_day(town: &Town) -> String {
    let words = words_of(town, "00001-0000001");
    words.bill_on.format("%-d %b").to_string()
}
