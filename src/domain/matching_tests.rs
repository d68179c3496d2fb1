//! What speaks for an account, and the laws of the rule.

use proptest::prelude::*;

use super::*;

fn account(id: i64, number: &str, name: &str, due: i64) -> Candidate {
    Candidate {
        account: AccountId(id),
        number: number.to_owned(),
        name: name.to_owned(),
        due: Money::from_cents(due),
        bills: Vec::new(),
        paid_before: false,
    }
}

fn told(cents: i64, references: &[&str], name: &str, text: &str) -> Told {
    Told {
        amount: Money::from_cents(cents),
        references: references.iter().map(|text| (*text).to_owned()).collect(),
        party_name: Some(name.to_owned()).filter(|name| !name.is_empty()),
        party_account: None,
        text: text.to_owned(),
    }
}

fn sure(told: &Told, candidate: &Candidate) -> u8 {
    suggest(told, std::slice::from_ref(candidate)).confidence
}

#[test]
fn a_number_is_found_however_it_is_written() {
    let smith = account(1, "SM-001001", "Jane Smith", 4_200);
    for reference in ["SM-001001", "sm001001", "SM 1001", "SM/01001", "  sm-1001 "] {
        assert!(sure(&told(1, &[reference], "", ""), &smith) >= 90, "{reference}");
    }
    for text in ["water bill SM-001001 thanks", "Acct sm1001/May", "SM 1001"] {
        assert!(sure(&told(4_200, &[], "", text), &smith) >= 90, "{text}");
    }
    for text in ["SM-001002", "ASM-001001-5 is not it, nor 1001", "S M", ""] {
        let other = sure(&told(1, &[], "", text), &smith);
        assert!(other < 90, "{text}: {other}");
    }
    let padded = account(2, "12345678", "Jane Smith", 0);
    assert!(sure(&told(1, &["000000000012345678"], "", ""), &padded) >= 90);
    assert!(sure(&told(1, &["112345678"], "", ""), &padded) == 0);
}

#[test]
fn a_short_number_alone_is_not_enough() {
    let short = account(1, "12", "Jane Smith", 4_200);
    assert!(sure(&told(1, &["12"], "", ""), &short) < 90);
    assert!(sure(&told(4_200, &["12"], "", ""), &short) < 90);
    assert!(sure(&told(4_200, &["12"], "Smith, Jane", ""), &short) < 90);
    let four = account(1, "1001", "Jane Smith", 4_200);
    assert!(sure(&told(1, &["1001"], "", ""), &four) < 90);
    assert!(sure(&told(4_200, &["1001"], "", ""), &four) >= 90);
    assert!(sure(&told(1, &[], "", "on 1001 nights"), &four) < 90);
}

#[test]
fn numbers_written_apart_by_accident_are_doubted() {
    let number = account(1, "10012002", "Jane Smith", 4_200);
    let together = sure(&told(1, &["10012002"], "", ""), &number);
    let apart = sure(&told(1, &["1001 2002"], "", ""), &number);
    assert!(apart < together && apart > 0, "{apart} {together}");
}

#[test]
fn a_bill_or_a_creditor_reference_names_its_account() {
    let mut billed = account(12, "A-1", "Jane Smith", 0);
    billed.bills = vec![("00007-0000012".to_owned(), Money::from_cents(5_000))];
    assert!(sure(&told(1, &[], "", "pays bill 00007-0000012"), &billed) >= 90);
    assert!(sure(&told(1, &["000070000012"], "", ""), &billed) >= 90);
    assert!(is_creditor_reference("RF18 5390 0754 7034"));
    assert!(!is_creditor_reference("RF19 5390 0754 7034"));
    assert!(!is_creditor_reference("RF1"));
    let creditor = account(3, "539007547034", "Jane Smith", 0);
    let suggestion = suggest(&told(1, &["RF18 5390 0754 7034"], "", ""), &[creditor]);
    assert_eq!((suggestion.account, suggestion.confidence), (Some(AccountId(3)), 97), "{}", suggestion.why);
}

#[test]
fn names_are_compared_as_a_clerk_would() {
    let fit = |a: &str, b: &str| names_fit(&name_words(a), &name_words(b));
    assert_eq!(fit("Mr. José Müller", "MULLER JOSE"), NameFit::Same);
    assert_eq!(fit("Smith, Jane & John", "John Smith and Jane"), NameFit::Same);
    assert_eq!(fit("O'Brien Patrick", "PATRICK OBRIEN"), NameFit::Same);
    assert_eq!(fit("J Smith", "Jane Smith"), NameFit::Alike);
    assert_eq!(fit("Jane Smyth", "Jane Smith"), NameFit::Same.min(fit("Jane Smyth", "Jane Smith")));
    assert_eq!(fit("Smith", "Smith"), NameFit::Alike);
    assert_eq!(fit("Acme Bakery Ltd", "ACME BAKERY"), NameFit::Same);
    assert_eq!(fit("Jane Smith", "Jane Miller"), NameFit::Different);
    assert_eq!(fit("", "Jane Smith"), NameFit::Different);
    assert_eq!(fit("A B", "A B"), NameFit::Different, "initials are nobody's");
}

#[test]
fn a_name_and_an_amount_wait_for_a_clerk() {
    let jane = account(1, "SM-001001", "Jane Smith", 4_200);
    let name = sure(&told(1, &[], "SMITH JANE", ""), &jane);
    let both = sure(&told(4_200, &[], "SMITH JANE", ""), &jane);
    assert!(0 < name && name < both && both < 90, "{name} {both}");
    assert_eq!(sure(&told(4_200, &[], "Somebody Else", ""), &jane), 0, "an amount alone names nobody");
    let known = Candidate { paid_before: true, ..jane };
    assert!(sure(&told(4_200, &[], "SMITH JANE", ""), &known) >= 90);
    assert!(sure(&told(8_400, &[], "", ""), &known) < 90);
}

#[test]
fn the_answer_says_why_and_who_fits_as_well() {
    let (jane, twin) = (account(1, "SM-001001", "Jane Smith", 4_200), account(2, "SM-001002", "Jane Smith", 4_200));
    let suggestion = suggest(&told(4_200, &["SM-001001", "SM-001002"], "", ""), &[twin.clone(), jane.clone()]);
    assert_eq!((suggestion.account, suggestion.confidence), (Some(AccountId(1)), 50));
    assert!(suggestion.why.contains("account number SM-001001") && suggestion.why.contains("SM-001002 fits as well"), "{}", suggestion.why);
    // The number decides between two of one name.
    let decided = suggest(&told(4_200, &["SM-001002"], "Jane Smith", ""), &[jane, twin]);
    assert_eq!((decided.account, decided.confidence >= 90), (Some(AccountId(2)), true), "{}", decided.why);
    assert_eq!(suggest(&told(1, &["x"], "", ""), &[]).why, "nothing in it names an account");
}

fn any_candidate() -> impl Strategy<Value = Candidate> {
    let number = prop_oneof!["[0-9]{1,8}", "[A-C]{1,2}-[0-9]{1,6}"];
    let name = prop_oneof![Just("Jane Smith"), Just("John Smith"), Just("J Smith"), Just("Ana Müller"), Just("Smith"), Just("")];
    (1_i64..20, number, name, prop_oneof![Just(0_i64), Just(4_200), Just(2_100), -500_i64..9_000], any::<bool>(), any::<bool>()).prop_map(
        |(id, number, name, due, paid_before, billed)| {
            let bills = if billed { vec![(format!("00003-{id:07}"), Money::from_cents(4_200))] } else { Vec::new() };
            Candidate { bills, paid_before, ..account(id, &number, name, due) }
        },
    )
}

/// What is told, made of what is known of some accounts and of noise.
fn any_told(candidates: &[Candidate]) -> impl Strategy<Value = Told> + use<> {
    let mut words: Vec<String> = ["water bill", "12", "00003-0000007", "RF18539007547034", "4711 0815", "März"].map(str::to_owned).to_vec();
    words.extend(candidates.iter().flat_map(|candidate| [candidate.number.clone(), candidate.name.clone()]));
    let word = prop::sample::select(words);
    let names = prop::option::of(prop::sample::select(vec!["SMITH JANE", "J. Smith", "Muller Ana", "Nobody"]));
    (prop_oneof![Just(4_200_i64), Just(8_400), 1_i64..9_000], prop::collection::vec(word.clone(), 0..3), names, prop::collection::vec(word, 0..4))
        .prop_map(|(cents, references, name, text)| Told {
            amount: Money::from_cents(cents),
            references,
            party_name: name.map(str::to_owned),
            party_account: None,
            text: text.join(" / "),
        })
}

fn any_case() -> impl Strategy<Value = (Vec<Candidate>, Told)> {
    prop::collection::vec(any_candidate(), 0..6).prop_flat_map(|mut candidates| {
        // An account is a candidate once.
        let mut seen = std::collections::BTreeSet::new();
        candidates.retain(|candidate| seen.insert(candidate.account));
        let told = any_told(&candidates);
        (Just(candidates), told)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_that_tie_are_never_certain((candidates, told) in any_case(), twin_id in 100_i64..200) {
        let one = suggest(&told, &candidates);
        if let Some(best) = one.account.and_then(|account| candidates.iter().find(|candidate| candidate.account == account)) {
            let mut with_twin = candidates.clone();
            with_twin.push(Candidate { account: AccountId(twin_id), ..best.clone() });
            let tied = suggest(&told, &with_twin);
            prop_assert!(tied.confidence <= TIED, "{tied:?}");
            prop_assert!(tied.why.contains("fits as well"));
        }
    }

    #[test]
    fn another_account_never_makes_it_surer_of_the_same_one((mut candidates, told) in any_case(), other in any_candidate()) {
        let before = suggest(&told, &candidates);
        candidates.push(Candidate { account: AccountId(500), ..other });
        let after = suggest(&told, &candidates);
        if after.account == before.account {
            prop_assert!(after.confidence <= before.confidence, "{before:?} {after:?}");
        } else {
            prop_assert_eq!(after.account, Some(AccountId(500)));
        }
    }

    #[test]
    fn an_account_that_nothing_speaks_for_changes_nothing((mut candidates, told) in any_case()) {
        let before = suggest(&told, &candidates);
        candidates.insert(0, account(600, "ZQX-99887766554433", "Zebulon Quixote", 0));
        prop_assert_eq!(suggest(&told, &candidates), before);
    }

    #[test]
    fn the_order_of_accounts_does_not_matter((candidates, told) in any_case()) {
        let mut unique: Vec<Candidate> = Vec::new();
        for candidate in candidates {
            if !unique.iter().any(|known| known.account == candidate.account) {
                unique.push(candidate);
            }
        }
        let forward = suggest(&told, &unique);
        unique.reverse();
        prop_assert_eq!(suggest(&told, &unique), forward);
    }

    #[test]
    fn more_evidence_never_lowers_the_confidence((candidates, told) in any_case()) {
        for candidate in &candidates {
            let less = sure(&told, &Candidate { paid_before: false, ..candidate.clone() });
            let more = sure(&told, &Candidate { paid_before: true, ..candidate.clone() });
            prop_assert!(more >= less && more <= HIGHEST);
        }
    }

    #[test]
    fn whatever_is_written_is_judged(text in any::<String>(), number in any::<String>(), name in any::<String>(), cents in any::<i64>()) {
        let told = Told { amount: Money::from_cents(cents), references: vec![text.clone()], party_name: Some(name.clone()), party_account: None, text };
        let suggestion = suggest(&told, &[account(1, &number, &name, cents)]);
        prop_assert!(suggestion.confidence <= HIGHEST);
    }
}
