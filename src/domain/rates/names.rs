//! How names are compared: parts, attributes and rate classes.
//!
//! Belongs here: normal form of a name, which names mean the usage, which are
//! well-known attributes of an account. Does not belong here: what a name is
//! worth.

/// Attributes an account commonly has and published rate files name without
/// defining. A name outside this list may still be an attribute; the list only
/// decides how loudly `lint` speaks of it.
const KNOWN_ATTRIBUTES: [&str; 56] = [
    "account_type",
    "age",
    "area",
    "block",
    "budget",
    "cart_size",
    "city_limits",
    "commercial_budget",
    "cust_class",
    "customer_type",
    "days_in_period",
    "drought_stage",
    "dwelling_units",
    "dwellings",
    "elevation",
    "elevation_zone",
    "eru",
    "et_amount",
    "et_zone",
    "fire_meter_size",
    "hhsize",
    "impervious_area",
    "indoor",
    "irr_area",
    "irrigable_area",
    "irrigated_area",
    "landscape_area",
    "location",
    "lot_size",
    "lot_size_group",
    "low_income",
    "meter_count",
    "meter_size",
    "meter_type",
    "month",
    "number_dwelling_units",
    "number_of_units",
    "occupants",
    "outdoor",
    "pressure_zone",
    "rolling_average",
    "season",
    "senior",
    "service_area",
    "service_size",
    "sewer_average",
    "tariff_area",
    "tax_exempt",
    "trade",
    "units",
    "water_font",
    "water_supply",
    "water_type",
    "winter_average",
    "wrap_customer",
    "zone",
];

/// The form in which names are compared: lower case, blanks as underscores, so
/// that `Service Charge`, `service charge` and `service_charge` are one name.
pub(crate) fn normal(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for word in name.split_whitespace() {
        if !out.is_empty() {
            out.push('_');
        }
        out.extend(word.chars().flat_map(char::to_lowercase));
    }
    out
}

/// Whether a name (in normal form) that is no part means the usage: "a name
/// starting `usage` is the usage in the file's own unit" (design, section 5).
pub(crate) fn is_usage(normal: &str) -> bool {
    normal.starts_with("usage")
}

/// Whether a usage name may be overridden by an attribute of the account.
/// `usage` and `usage_<unit>` never are: the metered usage is an input of its
/// own and, unlike an attribute, is scaled for a short period.
pub(crate) fn is_metered_usage(normal: &str) -> bool {
    let unit = match normal.strip_prefix("usage") {
        Some("") => return true,
        Some(rest) => rest.trim_start_matches('_'),
        None => return false,
    };
    super::metadata::Unit::parse(unit).is_known()
}

/// Whether accounts commonly have an attribute of this name.
pub(crate) fn is_known_attribute(normal: &str) -> bool {
    KNOWN_ATTRIBUTES.contains(&normal)
}

/// Attributes accounts commonly have.
pub(crate) fn known_attributes() -> &'static [&'static str] {
    &KNOWN_ATTRIBUTES
}

/// Whether a name reads like a charge of the tariff, which no account brings.
pub(crate) fn reads_like_a_charge(normal: &str) -> bool {
    const ENDINGS: [&str; 8] = ["charge", "charges", "surcharge", "fee", "fees", "price", "rate", "cost"];
    ENDINGS.iter().any(|ending| normal == *ending || normal.ends_with(&format!("_{ending}")))
        || normal.starts_with("tier_")
        || normal.starts_with("flat_rate")
}

/// A part's name for people: `service_charge` is `Service charge`.
pub(crate) fn label(name: &str) -> String {
    let words = name.replace('_', " ");
    let words = words.trim();
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_in_many_spellings() {
        for name in ["service_charge", "Service Charge", " SERVICE  charge "] {
            assert_eq!(normal(name), "service_charge");
        }
    }

    #[test]
    fn usage_names() {
        assert!(is_usage("usage_ccf") && is_metered_usage("usage_ccf"));
        assert!(is_metered_usage("usage") && is_metered_usage("usage_m3"));
        assert!(is_usage("usage_winter") && !is_metered_usage("usage_winter"));
        assert!(!is_usage("my_usage"));
    }

    #[test]
    fn charges_are_told_from_attributes() {
        assert!(reads_like_a_charge("comodity_charge"));
        assert!(reads_like_a_charge("flat_rate_commodity"));
        assert!(!reads_like_a_charge("hhsize"));
        assert!(!reads_like_a_charge("recharge_zone"));
    }

    #[test]
    fn labels_are_for_people() {
        assert_eq!(label("fixed_drought_surcharge"), "Fixed drought surcharge");
        assert_eq!(label(""), "");
    }
}
