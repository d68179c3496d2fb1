//! Laws that hold for every tariff and every usage.

use super::rates_support::{decimal, home, home_with};
use aquabills::domain::rates::{
    Attributes, CompiledClass, ExactLine, PricingError, PricingInput, Rounding, Share, Tariff, lint, reference, settle, weighted_lines,
};
use proptest::prelude::*;
use rust_decimal::Decimal;

/// A number of up to `places` decimals as text.
fn number(below: u32, places: u32) -> impl Strategy<Value = String> {
    let most = i64::from(below) * 10_i64.pow(places);
    (0..most).prop_map(move |digits| Decimal::new(digits, places).normalize().to_string())
}

fn usage() -> impl Strategy<Value = String> {
    prop_oneof![number(300, 0), number(300, 3)]
}

/// Starts and prices of a block charge; starts rise unless `any_order`.
fn tiers(any_order: bool) -> impl Strategy<Value = (Vec<String>, Vec<String>)> {
    prop::collection::vec((number(200, 1), number(30, 4)), 1..6).prop_map(move |mut rows| {
        if !any_order {
            rows.sort_by_key(|(start, _)| decimal(start));
        }
        rows.into_iter().unzip()
    })
}

/// A tariff with fixed, block, flat and factored charges.
fn a_tariff() -> impl Strategy<Value = String> {
    let rule = prop_oneof![Just("first_unit"), Just("boundary")];
    let rounding = prop_oneof![Just("half_up"), Just("half_even"), Just("up"), Just("down")];
    let bill = prop_oneof![
        Just("service_charge+commodity_charge"),
        Just("(service_charge+commodity_charge+flat)*factor"),
        Just("factor*(service_charge+commodity_charge)-flat/3"),
        Just("service_charge+sewer_charge+commodity_charge*0.5+1.25*usage_ccf"),
        Just("total*1.0117"),
        Just("-flat+(total-service_charge)/7"),
    ];
    let kind = prop_oneof![Just("Tiered"), Just("Budget")];
    (rule, rounding, bill, kind, tiers(true), tiers(false), number(90, 2), number(3, 4)).prop_map(
        |(rule, rounding, bill, kind, water, sewer, fixed, factor)| {
            home_with(
                &format!("tier_rule: {rule}\nrounding: {rounding}"),
                &format!(
                    "service_charge: {fixed}\nfactor: {factor}\nflat: 0.75*usage_ccf\n\
                     total: service_charge+commodity_charge+flat\nindoor: hhsize*60*30.4*(1/748)\n\
                     budget: indoor+12.6\ncommodity_charge: {kind}\nsewer_charge: Tiered\n\
                     tier_starts: [{}]\ntier_prices: [{}]\n\
                     sewer_tier_starts: [{}]\nsewer_tier_prices: [{}]\nbill: {bill}",
                    budget_starts(kind, &water.0),
                    water.1.join(", "),
                    sewer.0.join(", "),
                    sewer.1.join(", ")
                ),
            )
        },
    )
}

/// Under `Budget`, every other start is a name or a percentage.
fn budget_starts(kind: &str, starts: &[String]) -> String {
    let words = starts.iter().enumerate().map(|(at, start)| match (kind, at % 3) {
        ("Budget", 1) => "indoor".to_owned(),
        ("Budget", 2) => format!("{start}%"),
        _ => start.clone(),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn household() -> Attributes {
    [("hhsize", "3")].into_iter().collect()
}

fn compiled(text: &str) -> (Tariff, CompiledClass) {
    let tariff = Tariff::parse(text).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    let compiled = tariff.compile("HOME").unwrap();
    (tariff, compiled)
}

fn price(class: &CompiledClass, usage: &str, share: Share) -> Result<Vec<ExactLine>, PricingError> {
    class.price(&PricingInput { usage: decimal(usage), attributes: &household(), share })
}

fn sum(lines: &[ExactLine]) -> Decimal {
    lines.iter().map(|line| line.amount).sum()
}

fn close(one: Decimal, other: Decimal) -> bool {
    (one - other).abs() <= decimal("0.000000000001")
}

fn share() -> impl Strategy<Value = Share> {
    (1_u32..61, 1_u32..61).prop_map(|(days, of_days)| Share::new(days, of_days))
}

/// A formula over `usage_ccf`, `a` and `b`.
fn formula() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![number(40, 2), Just("usage_ccf".to_owned()), Just("a".to_owned()), Just("b".to_owned()),];
    leaf.prop_recursive(4, 24, 2, |inner| {
        let sign = prop_oneof![Just("+"), Just("-"), Just("*"), Just("/"), Just(" + ")];
        prop_oneof![
            (inner.clone(), sign, inner.clone()).prop_map(|(l, s, r)| format!("{l}{s}{r}")),
            inner.clone().prop_map(|inner| format!("({inner})")),
            inner.prop_map(|inner| format!("-({inner})")),
        ]
    })
}

fn exact_line(amount: Decimal) -> ExactLine {
    ExactLine { part: "part".into(), label: "Part".into(), tier: None, quantity: None, price: None, amount }
}

fn amounts() -> impl Strategy<Value = Vec<Decimal>> {
    let amount = prop_oneof![
        3 => (-10_000_000_i64..10_000_000).prop_map(|digits| Decimal::new(digits, 5)),
        1 => Just(Decimal::ZERO),
        1 => (-500_i64..500).prop_map(|digits| Decimal::new(digits, 3)),
    ];
    prop::collection::vec(amount, 0..40)
}

fn rounding() -> impl Strategy<Value = Rounding> {
    prop_oneof![Just(Rounding::HalfUp), Just(Rounding::HalfEven), Just(Rounding::Up), Just(Rounding::Down)]
}

proptest! {
    #[test]
    fn cents_of_lines_add_up_and_stay_near(amounts in amounts(), rounding in rounding()) {
        let lines: Vec<ExactLine> = amounts.iter().copied().map(exact_line).collect();
        let charge = settle(lines.clone(), rounding).unwrap();
        let cents: i64 = charge.lines.iter().map(|line| line.amount_cents.cents()).sum();
        prop_assert_eq!(cents, charge.total.cents());
        prop_assert_eq!(charge.lines.len(), amounts.len());
        let exact: Decimal = amounts.iter().copied().sum();
        prop_assert_eq!(charge.exact, exact);
        prop_assert!((Decimal::from(cents) - exact * Decimal::ONE_HUNDRED).abs() < Decimal::ONE);
        for line in &charge.lines {
            let off = Decimal::from(line.amount_cents.cents()) - line.amount * Decimal::ONE_HUNDRED;
            prop_assert!(off.abs() < Decimal::ONE, "{:?}", line);
        }
        prop_assert_eq!(settle(lines, rounding).unwrap(), charge);
    }

    #[test]
    fn the_compiled_engine_agrees_with_the_reference(
        text in a_tariff(), usage in usage(), share in share(),
    ) {
        let (tariff, class) = compiled(&text);
        let attributes = household();
        let input = PricingInput { usage: decimal(&usage), attributes: &attributes, share };
        let charge = settle(class.price(&input).unwrap(), class.settings().rounding).unwrap();
        let exact = reference::bill(&tariff, "HOME", &input).unwrap();
        prop_assert!(close(charge.exact, exact), "{} and {}\n{}", charge.exact, exact, text);
        prop_assert_eq!(charge.total, reference::bill_money(&tariff, "HOME", &input).unwrap());
    }

    #[test]
    fn any_formula_agrees_with_the_reference(
        bill in formula(), a in formula(), usage in usage(),
    ) {
        let a = a.replace(['a', 'b'], "2").replace("us2ge", "usage");
        let text = home(&format!("b: 1.5\na: {a}\nbill: {bill}"));
        let tariff = Tariff::parse(&text).unwrap();
        let attributes = Attributes::new();
        let input = PricingInput::new(decimal(&usage), &attributes);
        let priced = tariff.compile("HOME").unwrap().price(&input);
        match (priced, reference::bill(&tariff, "HOME", &input)) {
            (Ok(lines), Ok(exact)) => {
                let off = (sum(&lines) - exact).abs();
                let near = decimal("0.000000000001") * (Decimal::ONE + exact.abs());
                prop_assert!(off <= near, "{} and {}\n{}", sum(&lines), exact, text);
            }
            (Err(PricingError::DivisionByZero { .. }), Err(PricingError::DivisionByZero { .. })) => {}
            // The two have different limits.
            (Err(PricingError::Overflow { .. }), _)
            | (_, Err(PricingError::Overflow { .. } | PricingError::TotalTooLarge)) => {}
            (engine, reference) => {
                return Err(TestCaseError::fail(format!("{engine:?}\n{reference:?}\n{text}")));
            }
        }
    }

    #[test]
    fn more_usage_never_costs_less(
        text in a_tariff(), less in usage(), more in usage(),
    ) {
        // Bills that subtract are not of this law.
        let text = text.replace("-flat/3", "").replace("-flat+(total-service_charge)/7", "total/7");
        let (_, class) = compiled(&text);
        let (less, more) = if decimal(&less) <= decimal(&more) { (less, more) } else { (more, less) };
        let bill = |usage: &str| sum(&price(&class, usage, Share::WHOLE).unwrap());
        prop_assert!(bill(&less) <= bill(&more));
    }

    #[test]
    fn a_whole_share_is_no_share(text in a_tariff(), usage in usage(), days in 1_u32..400) {
        let (_, class) = compiled(&text);
        let whole = price(&class, &usage, Share::WHOLE).unwrap();
        let same = price(&class, &usage, Share::new(days, days)).unwrap();
        prop_assert_eq!(
            serde_json::to_string(&whole).unwrap(),
            serde_json::to_string(&same).unwrap()
        );
    }

    #[test]
    fn a_share_is_that_share_of_the_scaled_bill(
        text in a_tariff(), usage in usage(), share in share(),
    ) {
        let (_, class) = compiled(&text);
        let part = sum(&price(&class, &usage, share).unwrap());
        let (days, of_days) = (Decimal::from(share.days), Decimal::from(share.of_days));
        let scaled = (decimal(&usage) * of_days / days).to_string();
        let whole = sum(&price(&class, &scaled, Share::WHOLE).unwrap());
        prop_assert!(close(part, whole * days / of_days));
    }

    #[test]
    fn weights_of_a_period_add_up_to_it(
        text in a_tariff(), usage in usage(), days in 2_u32..100, cut in 1_u32..99,
    ) {
        let (_, class) = compiled(&text);
        let cut = 1 + cut % (days - 1);
        let lines = price(&class, &usage, Share::WHOLE).unwrap();
        let before = weighted_lines(lines.clone(), cut, days).unwrap();
        let after = weighted_lines(lines.clone(), days - cut, days).unwrap();
        prop_assert!(close(sum(&before) + sum(&after), sum(&lines)));
    }

    #[test]
    fn blocks_hold_the_whole_usage(text in a_tariff(), usage in usage()) {
        let (_, class) = compiled(&text);
        let lines = price(&class, &usage, Share::WHOLE).unwrap();
        for part in ["commodity_charge", "sewer_charge"] {
            let of_part = lines.iter().filter(|line| line.part == part && line.tier.is_some());
            let quantities: Vec<Decimal> = of_part.filter_map(|line| line.quantity).collect();
            if !quantities.is_empty() {
                prop_assert_eq!(quantities.iter().copied().sum::<Decimal>(), decimal(&usage));
            }
        }
    }

    #[test]
    fn lines_survive_json(text in a_tariff(), usage in usage()) {
        let (_, class) = compiled(&text);
        let lines = price(&class, &usage, Share::WHOLE).unwrap();
        let charge = settle(lines, Rounding::HalfUp).unwrap();
        let json = serde_json::to_string(&charge).unwrap();
        prop_assert_eq!(serde_json::from_str::<aquabills::domain::rates::Charge>(&json).unwrap(), charge);
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = Tariff::parse(&text);
    }

    #[test]
    fn any_text_of_the_notation_is_read_or_refused(
        text in "[ \n\t:|>&*!%@`{}\\[\\],#?'\"a-c0-9~-]{0,80}",
    ) {
        let _ = Tariff::parse(&text);
        let _ = Tariff::parse(&format!("rate_structure:\n  A:\n    bill: {text}\n"));
    }

    #[test]
    fn a_damaged_tariff_is_read_or_refused(
        text in a_tariff(), at in any::<prop::sample::Index>(), damage in "[ \n:|\\[\\]\"'%*+()0-9a-z]{0,3}",
        usage in usage(),
    ) {
        let at = at.index(text.len());
        let cut = &text[..at];
        let rest = &text[(at + damage.len()).min(text.len())..];
        if let Ok(tariff) = Tariff::parse(&format!("{cut}{damage}{rest}")) {
            let _ = lint(&tariff);
            for class in tariff.classes() {
                let class = tariff.compile(class).unwrap();
                if let Ok(lines) = price(&class, &usage, Share::WHOLE) {
                    let _ = settle(lines, Rounding::HalfUp);
                }
            }
        }
    }
}
