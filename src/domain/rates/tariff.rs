//! A tariff as read: classes of named parts, nothing evaluated yet.
//!
//! Belongs here: the tree both evaluators work from, and finding a part by
//! name. Does not belong here: reading (`document`), checking (`check`), or
//! either evaluation (`compile`, `reference`).

use std::collections::{BTreeMap, HashMap};

use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use super::check;
use super::compile::{self, CompiledClass};
use super::document;
use super::error::{CompileError, Place, TariffError, TariffErrors};
use super::formula::Expr;
use super::metadata::Metadata;
use super::names::normal;
use super::settings::Settings;

/// A rate file, read and found sound.
#[derive(Debug, Clone)]
pub struct Tariff {
    pub(crate) metadata: Metadata,
    pub(crate) settings: Settings,
    pub(crate) class_settings: BTreeMap<String, Settings>,
    pub(crate) classes: Vec<Class>,
    pub(crate) sha256: String,
}

/// The rules of one rate class.
#[derive(Debug, Clone)]
pub(crate) struct Class {
    pub name: String,
    pub line: usize,
    pub parts: Vec<Part>,
    /// Part by normal name.
    pub index: HashMap<String, usize>,
}

/// A named part of a class.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// As written.
    pub name: String,
    /// As compared.
    pub normal: String,
    pub line: usize,
    pub body: Body,
}

/// What a part says.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// A number or formula; the text is kept because a `depends_on` may want
    /// the word itself (`water_type: POTABLE`).
    Formula { text: String, expr: Expr },
    /// `Tiered` or `Budget`.
    Charge(ChargeKind),
    /// Tier starts or prices; a list of one is also its one value.
    List(Vec<Item>),
    /// `depends_on` with `values` by key.
    Map(Map),
    /// `depends_on` with `values` by numeric range (`area_starts`).
    Range(Range),
    /// Anything else: refused only where the bill needs it.
    Unreadable(String),
}

/// The two kinds of block charges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChargeKind {
    Tiered,
    Budget,
}

/// One entry of a list.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub line: usize,
    pub kind: ItemKind,
}

/// What a list entry says.
#[derive(Debug, Clone)]
pub(crate) enum ItemKind {
    /// `125%`
    Percent(Decimal),
    /// A number, a name or a formula.
    Formula(Expr),
    /// Neither, and why.
    Unreadable(String),
}

/// Values by key.
#[derive(Debug, Clone)]
pub(crate) struct Map {
    /// Normal names of what the key is made of.
    pub dimensions: Vec<String>,
    pub entries: Vec<MapEntry>,
}

/// One value of a map.
#[derive(Debug, Clone)]
pub(crate) struct MapEntry {
    /// As written.
    pub key: String,
    /// One value for each dimension.
    pub values: Vec<String>,
    pub line: usize,
    pub body: Body,
}

/// Values by numeric range: the last start not above the attribute's value.
#[derive(Debug, Clone)]
pub(crate) struct Range {
    pub dimension: String,
    pub starts: Vec<Decimal>,
    pub values: Vec<(usize, Body)>,
}

/// Which parts a block charge is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TierParts {
    pub starts: Option<usize>,
    pub prices: Option<usize>,
    /// Name under which the budget is asked for.
    pub budget: String,
}

impl Tariff {
    /// Reads a rate file and checks all that can be checked without an account.
    ///
    /// Whatever `bill` can reach must be sound; what it cannot reach is only
    /// spoken of by [`super::lint`].
    ///
    /// # Errors
    /// Every reason found, each with line, class and part.
    pub fn parse(text: &str) -> Result<Self, TariffErrors> {
        let (tariff, errors) = Self::parse_usable_classes(text)?;
        if errors.0.is_empty() { Ok(tariff) } else { Err(errors) }
    }

    /// Like [`Self::parse`], but a class with errors is left out rather than
    /// the whole file refused; gives the usable rest and what was wrong.
    ///
    /// # Errors
    /// When the file as a whole is unreadable.
    pub fn parse_usable_classes(text: &str) -> Result<(Self, TariffErrors), TariffErrors> {
        let (mut tariff, mut errors) = document::read(text)?;
        for class in &tariff.classes {
            let own = check::class(class);
            let settings = tariff.settings_of(&class.name);
            // What discounts, fees and taxes name is known once the bill is cut into lines.
            let cut = own.is_empty() && (settings.has_extras() || !settings.metered);
            let added = if cut { compile::class(class, settings).err() } else { None };
            errors.extend(own.into_iter().chain(added.unwrap_or_default()));
        }
        errors.sort();
        errors.dedup();
        let broken = |class: &Class| errors.iter().any(|error| error.place.class.as_ref() == Some(&class.name));
        tariff.classes.retain(|class| !broken(class));
        Ok((tariff, TariffErrors(errors)))
    }

    /// What the file says about itself.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Names of the rate classes, in file order.
    pub fn classes(&self) -> impl Iterator<Item = &str> {
        self.classes.iter().map(|class| class.name.as_str())
    }

    /// Settings of the file.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Settings that hold for a class: its own where it has them.
    #[must_use]
    pub fn settings_of(&self, class: &str) -> &Settings {
        let name = self.class(class).map_or(class, |found| &found.name);
        self.class_settings.get(name).unwrap_or(&self.settings)
    }

    /// SHA-256 of the text, in hex: the identity of this version.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Compiles one class for pricing.
    ///
    /// # Errors
    /// When there is no such class or its rules cannot be used.
    pub fn compile(&self, class: &str) -> Result<CompiledClass, CompileError> {
        let found = self
            .class(class)
            .ok_or_else(|| CompileError::UnknownClass { class: class.to_owned(), known: self.classes().map(str::to_owned).collect() })?;
        let compiled = compile::class(found, self.settings_of(class));
        compiled.map_err(|errors| CompileError::Unusable(errors.into_iter().next().unwrap_or_else(|| unusable(found))))
    }

    /// A class by its name, or by its name in another spelling.
    pub(crate) fn class(&self, name: &str) -> Option<&Class> {
        let exact = self.classes.iter().find(|class| class.name == name);
        exact.or_else(|| {
            let wanted = normal(name);
            self.classes.iter().find(|class| normal(&class.name) == wanted)
        })
    }
}

fn unusable(class: &Class) -> TariffError {
    TariffError::new(Place::class(class.line, &class.name), "cannot be used")
}

/// SHA-256 of a text in hex.
pub(crate) fn sha256_hex(text: &str) -> String {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digest = Sha256::digest(text.as_bytes());
    let halves = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    halves.filter_map(|half| HEX.get(usize::from(half))).collect()
}

impl Class {
    /// A part by normal name; `x_commodity` also answers to `x` (design, 5).
    pub fn find(&self, name: &str) -> Option<usize> {
        let own = self.index.get(name);
        own.or_else(|| self.index.get(&format!("{name}_commodity"))).copied()
    }

    /// What a name means inside a part: a part that names itself means the
    /// account's attribute of that name, as in the reference calculator.
    pub fn find_from(&self, part: usize, name: &str) -> Option<usize> {
        self.find(name).filter(|found| *found != part)
    }

    pub fn part(&self, index: usize) -> Option<&Part> {
        self.parts.get(index)
    }

    /// The parts a `Tiered` or `Budget` charge is made of: `commodity_charge`
    /// uses `tier_starts` and `tier_prices`; `sewer_charge` uses
    /// `sewer_tier_starts`, `sewer_tier_prices`, `sewer_budget` and no others
    /// (reference calculator). Any other charge may have tiers named after it,
    /// `tier_starts_drought` or `recycled_tier_starts`.
    pub fn tier_parts(&self, charge: &str) -> TierParts {
        let stems = stems(charge);
        let named = |what: &str| {
            stems.iter().find_map(|stem| {
                let before = self.index.get(&format!("{stem}_{what}"));
                before.or_else(|| self.index.get(&format!("{what}_{stem}"))).copied()
            })
        };
        let is = |word: &str| stems.iter().any(|stem| stem == word);
        let sewer = is("sewer") || is("wastewater");
        let plain = |what: &str| self.find(what);
        let starts = named("tier_starts").or_else(|| (!sewer).then(|| plain("tier_starts"))?);
        let prices = named("tier_prices").or_else(|| (!sewer && !is("drought")).then(|| plain("tier_prices"))?);
        let budget = match named("budget").and_then(|index| self.part(index)) {
            Some(part) => part.normal.clone(),
            None if sewer => "sewer_budget".to_owned(),
            None => "budget".to_owned(),
        };
        TierParts { starts, prices, budget }
    }
}

/// What a charge's tiers may be named after: `variable_drought_surcharge` gives
/// `variable_drought`, `variable`, `drought`.
fn stems(charge: &str) -> Vec<String> {
    let bare = ["_surcharge", "_charge", "_fee"].iter().find_map(|ending| charge.strip_suffix(ending)).unwrap_or(charge);
    let mut stems = vec![bare.to_owned()];
    let words = bare.split('_').filter(|word| !word.is_empty() && *word != "commodity");
    stems.extend(words.map(str::to_owned));
    stems.retain(|stem| stem != "commodity");
    stems.dedup();
    stems
}
