//! Bills worked out by hand, so that a mistake that the model shares with the program is seen too.
//!
//! Water from 2025: 14.20 (1": 22.60) and 2.10 to 6, 3.35 to 15, 4.80; from May 2028: 15.05 (24.00) and 2.25 to 5, 3.60 to
//! 14, 5.15. Then state fee 1.25 (1.40), franchise 3 % (3.5 %) of the commodity, tax 5.5 % (6 %) of charges and franchise.

use crate::compare::{every_bill, shown};
use crate::model::Town as Model;
use crate::rules::day;
use crate::teller::Teller;

/// Service, first day, cents.
const SEGMENTS: [(&str, &str, i128); 26] = [
    // 10 units: 14.20 + 12.60 + 13.40 = 40.20; 1.25; 3% of 26.00 = 0.78; 5.5% of 40.98 = 2.2539: 44.4839
    ("W01", "2027-12-15", 4448),
    // No winter yet: 8 in 30 days are 8.267 in 31; 18.40 + 8.267 x 3.15 = 44.441
    ("S01", "2027-12-15", 4444),
    // 1,537 square feet, one unit, 17 of December's 31 days: 7.35 x 17 / 31 = 4.0306
    ("R01", "2027-12-15", 403),
    // 18 units, rates change on 1 May. 16 days old: 14.20 + 12.60 + 30.15 + 14.40 = 71.35; 1.25; 3% of 57.15 = 1.7145; 5.5% of
    // 73.0645 = 4.0185475: 78.3330475. 14 days new: 15.05 + 11.25 + 32.40 + 20.60 = 79.30; 1.40; 3.5% of 64.25 = 2.24875; 6% of
    // 81.54875 = 4.892925: 87.841675. (16 x 78.3330475 + 14 x 87.841675) / 30 = 82.7704
    ("W01", "2028-04-15", 8277),
    // The same days, 3 units, low income. Old: 10.65 + 6.30, lifted to 20.00; 1.25; 0.189; 5.5% of 20.189 = 1.110395: 22.549395.
    // New: 10.535 + 6.75, lifted to 22.50; 1.40; 0.23625; 6% of 22.73625 = 1.364175: 25.500425. By 16 and 14 days: 23.9265
    ("W02", "2028-04-15", 2393),
    // Nothing used: 15.05 less 30% = 10.535, lifted to 22.50; 1.40; 6% of 22.50 = 1.35: 25.25
    ("W02", "2028-07-15", 2525),
    // Exempt from tax, 1", 14 units; low income for the last 12 of 31 days: 22.60 + 12.60 + 26.80 = 62.00; 1.25; 3% of 39.40 =
    // 1.182: 64.432, then 5.65 less: 58.782; (19 x 64.432 + 12 x 58.782) / 31 = 62.2449
    ("W03", "2028-03-15", 6224),
    // June was estimated at 12 (57.34). Two months used 4 + 3 = 7 in 61 days: 3.557 in June's 31, 3.443 in July's 30.
    // June: 15.05 + 8.00325 = 23.05325; 1.40; 0.28011; 6% of 23.33336 = 1.40000: 26.13. July: 22.79675; 1.40; 0.27114; 1.38407: 25.85.
    // 25.85 + 26.13 - 57.34 = -5.36
    ("W06", "2028-06-15", -536),
    // Three months estimated at 15, 16, 16 (70.89, 76.54, 76.54), the register went through zero: from 9,990 to 76 are 86 in 122
    // days: 21.147, 21.853, 21.852 and 21.148. Above 14: 15.05 + 43.65 + 7.147 x 5.15 = 95.50705; 1.40; 2.81600; 5.89938: 105.62;
    // 99.14295 + 1.40 + 2.94325 + 6.12517 = 109.61; 99.1378: 109.61; 95.5122: 105.63.
    // 105.63 + (105.62 - 70.89) + (109.61 - 76.54) + (109.61 - 76.54) = 206.50
    ("W07", "2028-09-15", 20650),
    // One month estimated at 14 (65.24), then an exchange: 18 + 15 = 33 in 62 days, 16.5 in each 31: 15.05 + 43.65 + 12.875 = 71.575;
    // 1.40; 3.5% of 56.525 = 1.978375; 6% of 73.553375 = 4.4132025: 79.37. 79.37 + 79.37 - 65.24 = 93.50
    ("W09", "2028-08-15", 9350),
    // A leak of 98: 15.05 + 43.65 + 84 x 5.15 = 491.30; 1.40; 3.5% of 476.25 = 16.66875; 6% of 507.96875 = 30.478125: 539.8469
    ("W11", "2028-06-15", 53985),
    // A house for 19 days: 15.05 + 32.85 = 47.90; 1.40; 1.14975; 6% of 49.04975: 53.392735. A shop for 12: 31.75 + 11 x 3.27 = 67.72;
    // 1.40; 1.25895; 6% of 68.97895: 74.517687. (19 x 53.392735 + 12 x 74.517687) / 31 = 61.5701
    ("W13", "2028-05-15", 6157),
    // Winter of 14 in 62 days is 7 in 31: 18.40 + 22.05 = 40.45; 95% of 11 is 10.45: 31.00 + 43.89 = 74.89; by 19 and 12 days 53.7816
    ("S13", "2028-05-15", 5378),
    // 28 units in 6 dwellings: 4 2/3 each: 6 x (9.50 + 9.3333) = 113.00; 3.00 + 4.80; 3% of 56.00 = 1.68; 5.5% of 113.00 = 6.215:
    // 128.695, half a cent up
    ("W14", "2027-12-15", 12870),
    // 55 units; 6 dwellings for 20 days: 59.70 + 141.75 = 201.45; 3.25 + 5.10; 4.96125; 12.087: 226.84825. 8 for 11 days: 79.60 +
    // 131.25 = 210.85; 3.25 + 6.80; 4.59375; 12.651: 238.14475. (20 x 226.84825 + 11 x 238.14475) / 31 = 230.8567
    ("W14", "2028-08-15", 23086),
    // 85% of 55 is 46.75, at most 40 in 30 days, 41.333 in 31: 18.40 + 130.19895 = 148.599
    ("S14", "2028-08-15", 14860),
    // 61.00 + 62 x 3.10 = 253.20; 1.25; 3% of 192.20 = 5.766; 5.5% of 258.966 = 14.24313: 274.4591
    ("W15", "2027-12-15", 27446),
    // November and December have 61 days; 17 of them: (38.75 + 4.50) x 17 / 61 = 12.0533
    ("F15", "2027-12-15", 1205),
    // July at 43.25, August at 41.20 + 4.95 = 46.15: 31 days each
    ("F15", "2028-07-01", 4470),
    // The last 16 days, until the rates change: 4 units are 7.5 in 30 days: 14.20 + 12.60 + 5.025 = 31.825; 1.25; 0.52875; 5.5% of
    // 32.35375 = 1.77945625: 35.38320625 x 16 / 30 = 18.871
    ("W16", "2028-04-15", 1887),
    // A first period of 29 days of 30: 9 x 30 / 29 = 9.31034: 14.20 + 12.60 + 11.08966; 1.25; 0.71069; 2.12302: 41.97337 x 29 / 30
    ("W24", "2028-02-15", 4057),
    // From the leap day on, 15 days: 13 are 26 in 30: 14.20 + 12.60 + 30.15 + 52.80 = 109.75; 1.25; 2.8665; 6.1939075: 120.0604 / 2
    ("W25", "2028-02-29", 6003),
    // 2 units for one day of February's 29: 14.70 / 29 = 0.5069
    ("R25", "2028-02-29", 51),
    // Sewer rates change on 3 October. No winter: 18 days 18.40 + 8 x 3.15 = 43.60, 12 days 19.25 + 7 x 3.40 = 43.05: 43.38
    ("S24", "2028-09-15", 4338),
    // 1" from the period's first day, 6 units: 24.00 + 14.85 = 38.85; 1.40; 0.51975; 6% of 39.36975 = 2.362185: 43.1319
    ("W30", "2028-09-15", 4313),
    // 41 of the 60 days of a leap year's January and February: 92.10 x 41 / 60 = 62.935, half a cent up
    ("F31", "2028-01-20", 6294),
];

/// Account, day, previous balance, payments, adjustments, amount due.
const BILLS: [(&str, &str, [i128; 4]); 5] = [
    // 500.00 paid ahead; 22.35 + 18.40 + 4.03 charged.
    ("A04", "2028-01-17", [0, -50_000, 0, -45_522]),
    // The bill of 74.57 was paid and taken back, and is billed once more.
    ("A01", "2028-03-19", [7_457, -7_457, -7_457, 0]),
    // 42.01 paid and returned, a fee of 15.00; 27.64 + 22.05 charged.
    ("A27", "2028-02-17", [4_201, 0, 1_500, 10_670]),
    // 131.98 came back after the bill of May, so 143.21 + 131.98 + 15.00 = 290.19 were owed and paid; 159.74 charged.
    ("A28", "2028-06-17", [14_321, 13_198 - 29_019, 1_500, 15_974]),
    // The debt of 401.99 of who moved in was taken over and paid with 128.61 of its own; 66.83 + 42.03 + 11.85 charged.
    ("A18", "2028-09-17", [12_861, -53_060, 40_199, 12_071]),
];

/// Everything in which the program, or the model, differs from the figures above.
pub fn differences(teller: &Teller, model: &Model) -> Vec<String> {
    let mut found = Vec::new();
    let bills = every_bill(teller);
    for (service, start, cents) in SEGMENTS {
        let segments = bills.iter().filter(|(bill, _)| bill.status == "issued").flat_map(|(bill, _)| &bill.segments);
        let issued: Vec<i128> =
            segments.filter(|one| one.service_id == service && one.inputs.start_on == day(start)).map(|one| one.total_cents.into()).collect();
        let segments = model.bills.iter().filter(|bill| !bill.cancelled).flat_map(|bill| &bill.segments);
        let modelled: Vec<i128> = segments.filter(|one| one.service == service && one.start == day(start)).map(|one| one.cents).collect();
        if issued != [cents] || modelled != [cents] {
            found.push(format!("{service} from {start}: by hand {}, issued {issued:?}, by the model {modelled:?}", shown(cents)));
        }
    }
    for (account, on, by_hand) in BILLS {
        let issued = bills
            .iter()
            .find(|(bill, _)| bill.account == account && bill.bill_on == day(on))
            .map(|(bill, _)| [bill.previous_balance_cents, bill.payments_cents, bill.adjustments_cents, bill.amount_due_cents].map(i128::from));
        if issued != Some(by_hand) {
            found.push(format!("{account} of {on}: by hand {by_hand:?}, issued {issued:?}"));
        }
    }
    found
}
