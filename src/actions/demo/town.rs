//! Who lives in Millbrook, a town that does not exist, and what they use.

use rand::Rng;
use rand::rngs::StdRng;

const FIRST: [&str; 32] = [
    "Amara", "Boris", "Chiara", "Dmitri", "Elena", "Farid", "Grace", "Hiro", "Ines", "Jamal", "Katrin", "Luis", "Mei", "Nadia", "Owen", "Priya",
    "Quentin", "Rosa", "Samir", "Tessa", "Umar", "Vera", "Wendell", "Ximena", "Yusuf", "Zofia", "Anders", "Bella", "Carlos", "Dana", "Emeka",
    "Freya",
];
const LAST: [&str; 32] = [
    "Abara",
    "Bergström",
    "Castillo",
    "Dubois",
    "Ekström",
    "Fontaine",
    "Grady",
    "Haddad",
    "Ivanov",
    "Jansen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Nakamura",
    "Okafor",
    "Pereira",
    "Quispe",
    "Romano",
    "Santos",
    "Takeda",
    "Usman",
    "Volkov",
    "Weiss",
    "Xu",
    "Yilmaz",
    "Zamora",
    "O'Brien",
    "Petrov",
    "Marsh",
    "Nguyen",
    "Clarke",
    "Rivera",
];
const STREETS: [&str; 12] = [
    "Mill Lane",
    "Weir Street",
    "Pump House Road",
    "Spring Hill",
    "Reservoir Drive",
    "Sluice Row",
    "Well Court",
    "Brook Avenue",
    "Ferry Road",
    "Old Quarry Way",
    "Heron Close",
    "Alder Terrace",
];
const TRADES: [&str; 10] = ["Bakery", "Laundry", "Garage", "Nursery", "Brewery", "Hotel", "Hardware", "Clinic", "Car Wash", "Diner"];

/// What a premise is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Home,
    Apartments { dwellings: i64 },
    Shop { fire_line: bool },
}

/// How somebody pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// On the due date.
    Prompt,
    /// Within days of the bill.
    Early,
    /// Weeks after it was due.
    Late,
    /// Half now, the rest with the next bill.
    Halves,
}

/// One premise with its account.
#[derive(Debug, Clone)]
pub(super) struct House {
    pub number: usize,
    pub name: String,
    pub address: String,
    pub purpose: Use,
    pub habit: Habit,
    pub low_income: bool,
    pub sewer: bool,
    pub meter_size: &'static str,
    /// Usage of an average month, in hundredths of a unit.
    base_centi: i64,
    /// How much more than the average it uses in summer: 100 is like everybody.
    garden: i64,
    /// What the register shows, in hundredths.
    pub register_centi: i64,
}

/// Usage of each month as a share of the average, in percent.
const SEASON: [i64; 12] = [72, 70, 78, 90, 108, 128, 145, 142, 120, 98, 78, 71];

impl House {
    pub(super) fn new(number: usize, random: &mut StdRng) -> Self {
        let purpose = match number % 100 {
            13 | 63 => Use::Shop { fire_line: true },
            7 | 27 | 47 | 67 | 87 => Use::Shop { fire_line: false },
            11 | 61 => Use::Apartments { dwellings: random.random_range(4..=24) },
            _ => Use::Home,
        };
        let mut pick = |list: &[&'static str]| list.get(random.random_range(0..list.len())).copied().unwrap_or_default();
        let (first, last, street, trade) = (pick(&FIRST), pick(&LAST), pick(&STREETS), pick(&TRADES));
        let name = match purpose {
            Use::Home => format!("{first} {last}"),
            Use::Apartments { .. } => format!("{last} Apartments"),
            Use::Shop { .. } => format!("{last} {trade}"),
        };
        let base_centi = match purpose {
            Use::Home => random.random_range(350..1600),
            Use::Apartments { dwellings } => dwellings * random.random_range(350..700),
            Use::Shop { .. } => random.random_range(1500..9000),
        };
        let habit = match random.random_range(0..100) {
            0..58 => Habit::Prompt,
            58..80 => Habit::Early,
            80..94 => Habit::Late,
            _ => Habit::Halves,
        };
        Self {
            number,
            name,
            address: format!("{} {street}, Millbrook 95900", number % 190 + 1),
            purpose,
            habit,
            low_income: purpose == Use::Home && random.random_range(0..12) == 0,
            sewer: purpose != Use::Home || random.random_range(0..5) != 0,
            meter_size: match purpose {
                Use::Home => ["5/8\"", "5/8\"", "5/8\"", "3/4\"", "1\""][random.random_range(0..5)],
                Use::Apartments { .. } => "2\"",
                Use::Shop { .. } => ["1\"", "1 1/2\"", "2\""][random.random_range(0..3)],
            },
            base_centi,
            garden: if purpose == Use::Home { random.random_range(40..170) } else { 25 },
            register_centi: random.random_range(0..400_000),
        }
    }

    pub(super) fn account(&self) -> String {
        format!("MB-{}", 1000 + self.number)
    }

    pub(super) fn service(&self, kind: char) -> String {
        format!("{kind}-{}", 2000 + self.number)
    }

    pub(super) fn meter(&self) -> String {
        format!("M{}", 30_000 + self.number)
    }

    pub(super) fn email(&self) -> String {
        let plain: String = self.name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '.' }).collect();
        format!("{}.{}@millbrook.example", plain.trim_matches('.').replace("..", "."), self.number)
    }

    /// Registers of homes show five digits, those of larger meters six.
    pub(super) fn digits(&self) -> u32 {
        if self.purpose == Use::Home { 5 } else { 6 }
    }

    /// Lets water run for some days in a month (0 is January), and `leak` percent more of it.
    pub(super) fn run(&mut self, month0: usize, days: i64, leak: i64, random: &mut StdRng) {
        let season = SEASON.get(month0).copied().unwrap_or(100);
        let season = 100 + (season - 100) * self.garden / 100;
        let chance = random.random_range(82..=118);
        let used = self.base_centi * season.max(35) / 100 * chance / 100 * (100 + leak) / 100 * days / 30;
        let capacity = 10_i64.pow(self.digits()) * 100;
        self.register_centi = (self.register_centi + used.max(0)) % capacity;
    }

    /// What somebody who looks at the register writes down.
    pub(super) fn reading(&self) -> i64 {
        self.register_centi / 100
    }
}
