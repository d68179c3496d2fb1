//! The published rates in other words: an independent model of what a period costs.
//!
//! Written from the tariff files' comments, the README and the design, with fractions of its own; nothing here calls the
//! program or uses its types. Money is in cents, usage in thousandths of a unit.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};

pub type Day = NaiveDate;
pub type Attributes = BTreeMap<&'static str, String>;

pub fn day(text: &str) -> Day {
    text.parse().expect("a date")
}

/// Days from one to another.
pub fn days(from: Day, to: Day) -> i128 {
    i128::from((to - from).num_days())
}

/// An exact fraction in lowest terms, its denominator above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frac {
    n: i128,
    d: i128,
}

impl Frac {
    pub const ZERO: Self = Self { n: 0, d: 1 };

    pub fn new(n: i128, d: i128) -> Self {
        assert!(d != 0, "a fraction of nothing");
        let (mut a, mut b) = (n.abs(), d.abs());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let by = a.max(1) * d.signum();
        Self { n: n / by, d: d / by }
    }

    pub fn whole(n: i128) -> Self {
        Self { n, d: 1 }
    }

    pub fn plus(self, other: Self) -> Self {
        Self::new(self.n * other.d + other.n * self.d, self.d * other.d)
    }

    pub fn minus(self, other: Self) -> Self {
        self.plus(Self { n: -other.n, d: other.d })
    }

    pub fn times(self, n: i128, d: i128) -> Self {
        let by = Self::new(n, d);
        // Reduced crosswise first, to stay small.
        let (a, b) = (Self::new(self.n, by.d), Self::new(by.n, self.d));
        Self::new(a.n * b.n, a.d * b.d)
    }

    pub fn below(self, other: Self) -> bool {
        self.n * other.d < other.n * self.d
    }

    pub fn smaller(self, other: Self) -> Self {
        if other.below(self) { other } else { self }
    }

    pub fn floor(self) -> i128 {
        self.n.div_euclid(self.d)
    }

    /// To the nearest, halves away from zero.
    pub fn nearest(self) -> i128 {
        let half_up = (2 * self.n.abs() + self.d) / (2 * self.d);
        half_up * self.n.signum()
    }

    /// To the nearest, halves to the even one.
    pub fn nearest_even(self) -> i128 {
        let floor = self.floor();
        let rest = self.minus(Self::whole(floor));
        match (rest.below(Self::new(1, 2)), rest == Self::new(1, 2)) {
            (true, _) => floor,
            (_, true) => floor + floor.rem_euclid(2),
            _ => floor + 1,
        }
    }
}

/// The charge that does not depend on usage.
#[derive(Debug, Clone)]
pub enum Fixed {
    Flat(i128),
    /// By an attribute.
    By(&'static str, Vec<(&'static str, i128)>),
    /// By every 2,500 square feet begun, one at least.
    Units(i128),
}

/// Which usage is priced.
#[derive(Debug, Clone, Copy)]
pub enum Basis {
    Metered,
    /// A percentage of the water, and the most in 30 days.
    Share(i128, Option<i128>),
    /// The winter's average but no more than was metered: the most in 30 days, and what counts without a winter.
    Winter {
        most: i128,
        without: i128,
    },
}

/// Something added to the charges.
#[derive(Debug, Clone, Copy)]
pub enum Fee {
    /// For each dwelling.
    Each(i128),
    /// Once.
    Once(i128),
    /// Tenths of a percent of the commodity charge.
    OfCommodity(i128),
    /// A tax: tenths of a percent of all charges, and of the fee on the commodity when it says so.
    Tax { tenths: i128, on_fee: bool },
}

/// One version of one class.
#[derive(Debug, Clone)]
pub struct Rates {
    pub schedule: &'static str,
    pub class: &'static str,
    pub from: Day,
    pub fixed: Fixed,
    /// Where each block begins, and its price.
    pub blocks: Vec<(i128, i128)>,
    pub basis: Basis,
    /// Months of a period of the calendar, for what has no meter.
    pub calendar: Option<u32>,
    pub by_dwelling: bool,
    /// A percentage off the fixed charge for accounts with this attribute.
    pub discount: Option<(i128, &'static str)>,
    pub minimum: Option<i128>,
    pub fees: Vec<Fee>,
    /// Accounts with this attribute do not pay these fees (or taxes, where there are any).
    pub exempt: &'static str,
    /// Whether a short first or last period counts by its days.
    pub by_days: bool,
}

/// Days of a standard month.
pub const STANDARD_DAYS: i128 = 30;
/// The months in which a winter period ends.
const WINTER: [u32; 3] = [12, 1, 2];

/// A price and the tax in it, exact.
#[derive(Debug, Clone, Copy)]
struct Price {
    total: Frac,
    tax: Frac,
}

fn says_yes(attributes: &Attributes, name: &str) -> bool {
    attributes.get(name).is_some_and(|value| value == "yes")
}

impl Rates {
    fn fixed_charge(&self, attributes: &Attributes) -> Frac {
        Frac::whole(match &self.fixed {
            Fixed::Flat(cents) => *cents,
            Fixed::By(name, table) => table.iter().find(|(key, _)| attributes.get(name).is_some_and(|value| value == key)).expect("a known size").1,
            Fixed::Units(cents) => {
                let area: i128 = attributes["impervious_area"].parse().expect("an area");
                ((area + 2499) / 2500).max(1) * cents
            }
        })
    }

    /// Block by block: what lies above where it begins and below where the next one does.
    fn commodity(&self, usage: Frac) -> Frac {
        let mut sum = Frac::ZERO;
        for (at, (start, price)) in self.blocks.iter().enumerate() {
            let top = self.blocks.get(at + 1).map_or(usage, |(next, _)| usage.smaller(Frac::whole(*next)));
            let in_block = top.minus(Frac::whole(*start));
            if !in_block.below(Frac::ZERO) {
                sum = sum.plus(in_block.times(*price, 1));
            }
        }
        sum
    }

    /// A whole period: charges, discounts, minimum, fees and taxes, in this order.
    fn price(&self, usage: Frac, attributes: &Attributes) -> Price {
        let dwellings: i128 = if self.by_dwelling { attributes["dwellings"].parse().expect("a number") } else { 1 };
        let mut fixed = self.fixed_charge(attributes).times(dwellings, 1);
        let commodity = self.commodity(usage.times(1, dwellings)).times(dwellings, 1);
        if let Some((percent, who)) = self.discount
            && says_yes(attributes, who)
        {
            fixed = fixed.times(100 - percent, 100);
        }
        let least = Frac::whole(self.minimum.unwrap_or(0) * dwellings);
        let sum = fixed.plus(commodity);
        let charges = if sum.below(least) { least } else { sum };
        let taxed = self.fees.iter().any(|fee| matches!(fee, Fee::Tax { .. }));
        let (mut total, mut tax, mut on_commodity) = (charges, Frac::ZERO, Frac::ZERO);
        for fee in &self.fees {
            let amount = match *fee {
                Fee::Each(cents) => Frac::whole(cents * dwellings),
                Fee::Once(cents) => Frac::whole(cents),
                Fee::OfCommodity(tenths) => {
                    on_commodity = commodity.times(tenths, 1000);
                    on_commodity
                }
                Fee::Tax { tenths, on_fee } => charges.plus(if on_fee { on_commodity } else { Frac::ZERO }).times(tenths, 1000),
            };
            let is_tax = matches!(fee, Fee::Tax { .. });
            if says_yes(attributes, self.exempt) && (is_tax || !taxed) {
                continue;
            }
            total = total.plus(amount);
            if is_tax {
                tax = tax.plus(amount);
            }
        }
        Price { total, tax }
    }

    /// The usage that is priced, in thousandths.
    fn billed(&self, metered_milli: i128, days: i128, winter: Option<(i128, i128)>) -> i128 {
        let metered = Frac::whole(metered_milli);
        let in_these_days = |units: i128| Frac::new(units * 1000 * days, STANDARD_DAYS);
        match self.basis {
            Basis::Metered => metered_milli,
            Basis::Share(percent, most) => {
                let share = metered.times(percent, 100);
                most.map_or(share, |most| share.smaller(in_these_days(most))).nearest_even()
            }
            Basis::Winter { most, without } => {
                let average = winter.map_or(in_these_days(without), |(milli, over)| Frac::new(milli * days, over));
                average.smaller(metered).smaller(in_these_days(most)).nearest_even()
            }
        }
    }
}

/// Some days of a period on the same rates and terms.
pub struct Slice<'a> {
    pub rates: &'a Rates,
    pub attributes: &'a Attributes,
    pub days: i128,
}

/// What a period costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    pub usage_milli: i128,
    pub cents: i128,
    /// The tax in it, exact, in millionths of a cent and cut off there.
    pub tax_micro: i128,
}

/// Prices a period: each slice prices the whole of it and counts by its days; a short period is the part of a standard one
/// at the pace of its usage; one rounding at the end.
pub fn charge(slices: &[Slice<'_>], metered_milli: i128, winter: Option<(i128, i128)>, standard: Option<i128>) -> Charge {
    let all: i128 = slices.iter().map(|slice| slice.days).sum();
    let (mut total, mut tax, mut usage_milli) = (Frac::ZERO, Frac::ZERO, 0);
    for slice in slices {
        usage_milli = slice.rates.billed(metered_milli, all, winter);
        let (part, of) = standard.map_or((1, 1), |standard| (all, standard));
        let price = slice.rates.price(Frac::new(usage_milli, 1000).times(of, part), slice.attributes);
        let weigh = |amount: Frac| amount.times(part, of).times(slice.days, all);
        total = total.plus(weigh(price.total));
        tax = tax.plus(weigh(price.tax));
    }
    Charge { usage_milli, cents: total.nearest(), tax_micro: tax.times(1_000_000, 1).floor() }
}

/// The year in whose first months the last winter before a day ended.
pub fn winter_year(before: Day) -> i32 {
    if before.month() > 2 { before.year() } else { before.year() - 1 }
}

/// Whether a period that ends on a day belongs to the winter that ended in a year.
pub fn in_winter(end: Day, year: i32) -> bool {
    WINTER.contains(&end.month()) && end.year() == if end.month() == 12 { year - 1 } else { year }
}

/// The first days of calendar periods around a day: its own and the next one, for periods of so many months from January.
pub fn calendar_around(on: Day, months: u32) -> (Day, Day) {
    let begins = |day: &Day| day.day() == 1 && day.month0().is_multiple_of(months);
    let mut first = on;
    while !begins(&first) {
        first = first.pred_opt().expect("a day");
    }
    let mut next = on.succ_opt().expect("a day");
    while !begins(&next) {
        next = next.succ_opt().expect("a day");
    }
    (first, next)
}

/// Both versions of water, in cents: what their files in tests/fixtures/year say.
struct Water {
    from: &'static str,
    home: [i128; 2],
    blocks: [(i128, i128); 3],
    minimum: i128,
    off: i128,
    state: i128,
    franchise: i128,
    tax: i128,
    shop: [i128; 2],
    flat: i128,
    multi: i128,
    multi_blocks: [(i128, i128); 3],
    multi_minimum: i128,
    multi_fees: [i128; 2],
}

impl Water {
    fn rates(&self) -> [Rates; 3] {
        let home = Rates {
            schedule: "water",
            class: "HOME",
            from: day(self.from),
            fixed: Fixed::By("meter_size", vec![("5/8\"", self.home[0]), ("1\"", self.home[1])]),
            blocks: self.blocks.to_vec(),
            basis: Basis::Metered,
            calendar: None,
            by_dwelling: false,
            discount: Some((self.off, "low_income")),
            minimum: Some(self.minimum),
            fees: vec![Fee::Each(self.state), Fee::OfCommodity(self.franchise), Fee::Tax { tenths: self.tax, on_fee: true }],
            exempt: "tax_exempt",
            by_days: true,
        };
        let shop = Rates {
            class: "SHOP",
            fixed: Fixed::By("meter_size", vec![("5/8\"", self.shop[0]), ("2\"", self.shop[1])]),
            blocks: vec![(0, self.flat)],
            discount: None,
            minimum: None,
            ..home.clone()
        };
        let [once, each] = self.multi_fees;
        let multi = Rates {
            class: "MULTI",
            fixed: Fixed::Flat(self.multi),
            blocks: self.multi_blocks.to_vec(),
            by_dwelling: true,
            discount: None,
            minimum: Some(self.multi_minimum),
            fees: vec![Fee::Once(once), Fee::Each(each), Fee::OfCommodity(self.franchise), Fee::Tax { tenths: self.tax, on_fee: false }],
            exempt: "nobody",
            ..home.clone()
        };
        [home, shop, multi]
    }
}

fn sewer(from: &'static str, most: i128, without: i128, [home, price, shop, shop_price]: [i128; 4]) -> [Rates; 3] {
    let house = Rates {
        schedule: "sewer",
        class: "HOME",
        from: day(from),
        fixed: Fixed::Flat(home),
        blocks: vec![(0, price)],
        basis: Basis::Winter { most, without },
        calendar: None,
        by_dwelling: false,
        discount: None,
        minimum: None,
        fees: Vec::new(),
        exempt: "nobody",
        by_days: false,
    };
    let shop = Rates { class: "SHOP", fixed: Fixed::Flat(shop), blocks: vec![(0, shop_price)], basis: Basis::Share(95, None), ..house.clone() };
    let multi = Rates { class: "MULTI", basis: Basis::Share(85, Some(40)), ..house.clone() };
    [house, shop, multi]
}

fn flat(schedule: &'static str, class: &'static str, from: &'static str, months: u32, fixed: Fixed) -> Rates {
    Rates {
        schedule,
        class,
        fixed,
        calendar: Some(months),
        blocks: Vec::new(),
        basis: Basis::Metered,
        by_days: true,
        ..sewer(from, 0, 0, [0; 4])[0].clone()
    }
}

fn storm(from: &'static str, unit: i128) -> Rates {
    Rates { discount: Some((25, "rain_garden")), ..flat("stormwater", "ANY", from, 1, Fixed::Units(unit)) }
}

fn fire(from: &'static str, test: i128, sizes: [i128; 2]) -> Rates {
    let fixed = Fixed::By("fire_meter_size", vec![("4\"", sizes[0]), ("6\"", sizes[1])]);
    Rates { fees: vec![Fee::Each(test)], exempt: "own_backflow_test", ..flat("fire", "FIRE", from, 2, fixed) }
}

/// Every rate of the town, by date.
pub fn published() -> Vec<Rates> {
    let old = Water {
        from: "2025-01-01",
        home: [1420, 2260],
        blocks: [(0, 210), (6, 335), (15, 480)],
        minimum: 2000,
        off: 25,
        state: 125,
        franchise: 30,
        tax: 55,
        shop: [3010, 6100],
        flat: 310,
        multi: 950,
        multi_blocks: [(0, 200), (5, 300), (10, 415)],
        multi_minimum: 1200,
        multi_fees: [300, 80],
    };
    let new = Water {
        from: "2028-05-01",
        home: [1505, 2400],
        blocks: [(0, 225), (5, 360), (14, 515)],
        minimum: 2250,
        off: 30,
        state: 140,
        franchise: 35,
        tax: 60,
        shop: [3175, 6420],
        flat: 327,
        multi: 995,
        multi_blocks: [(0, 210), (5, 315), (10, 440)],
        multi_minimum: 1300,
        multi_fees: [325, 85],
    };
    let mut all: Vec<Rates> = old.rates().into_iter().chain(new.rates()).collect();
    all.extend(sewer("2025-01-01", 20, 8, [1840, 315, 3100, 420]));
    all.extend(sewer("2028-10-03", 18, 7, [1925, 340, 3240, 445]));
    all.extend([storm("2025-01-01", 735), storm("2028-07-01", 790)]);
    all.extend([fire("2025-01-01", 450, [3875, 9210]), fire("2028-08-01", 495, [4120, 9735])]);
    all
}
