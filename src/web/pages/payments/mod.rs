//! Paying online: what a customer or a guest chooses to pay, the way to the provider's own page, what is known afterwards, and
//! the door for the provider's callbacks. No card is ever typed on a page of ours.

mod callback;
mod guest;
mod pay;
mod standing;

pub(in crate::web) use callback::Door;

use crate::actions::Context;
use crate::domain::money::{Money, MoneyParseError};
use crate::web::error::PageError;
use crate::web::routes::Routes;
use crate::web::text::{self, Currency};

/// The routes of this area.
pub(in crate::web) fn routes(routes: &mut Routes) {
    routes.get("/pay", pay::choose);
    routes.post("/pay", pay::begin);
    routes.get("/pay/guest", guest::ask);
    routes.post("/pay/guest", guest::find);
    routes.post("/pay/guest/amount", guest::begin);
    routes.get("/pay/{token}", standing::show);
    routes.post("/pay/{token}", standing::try_again);
    routes.get("/pay/{token}/provider", standing::go_on);
}

/// The routes for machines: without session, header and compression around them.
pub(in crate::web) fn machine_routes(routes: &mut Routes) {
    routes.post("/callbacks/{provider}", callback::receive);
}

/// Where somebody pays for an account of their own; nothing when the utility takes no payments online.
pub(in crate::web) fn pay_link(context: &Context, number: &str) -> Option<String> {
    context.providers.first().map(|_| format!("/pay?account={}", text::segment(number)))
}

/// Pages that begin a payment are there when there is a provider.
fn must_be_set_up(context: &Context) -> Result<(), PageError> {
    context.providers.first().map(|_| ()).ok_or(PageError::NotFound)
}

/// Where an attempt is shown.
fn standing_path(token: &str) -> String {
    format!("/pay/{}", text::segment(token))
}

/// What somebody typed as an amount: `$1,234.50` is one, too; `1,50` is not, because nobody knows what it means.
///
/// # Errors
/// What is wrong with it, as a sentence.
pub(in crate::web::pages) fn parse_amount(typed: &str, currency: &Currency) -> Result<Money, String> {
    let typed = typed.trim();
    let bare = typed.strip_prefix(currency.sign()).unwrap_or(typed).trim();
    if bare.is_empty() {
        return Err("Please enter an amount, like 40.00".to_owned());
    }
    let (whole, cents) = bare.split_once('.').map_or((bare, None), |(whole, cents)| (whole, Some(cents)));
    let groups: Vec<&str> = whole.split(',').collect();
    let grouped = groups.len() == 1 || groups.iter().enumerate().all(|(at, group)| group.len() == 3 || (at == 0 && (1..3).contains(&group.len())));
    let plain = cents.map_or_else(|| groups.concat(), |cents| format!("{}.{cents}", groups.concat()));
    match Money::parse_paid(if grouped { &plain } else { bare }) {
        Ok(amount) if amount.is_positive() => Ok(amount),
        Ok(_) => Err("Please enter an amount above zero, like 40.00".to_owned()),
        Err(MoneyParseError::CommaForCents(_, meant)) => Err(format!("Please use a point for cents: {meant}")),
        Err(MoneyParseError::FractionOfACent(_)) => Err("Please enter at most two digits after the point, like 40.00".to_owned()),
        Err(MoneyParseError::TooLarge(_)) => Err("This amount is too large".to_owned()),
        Err(_) => Err("Please enter the amount in digits, like 40.00".to_owned()),
    }
}

/// What a verb refused, as a sentence with amounts for people.
fn sentence(refusal: &str, currency: &Currency) -> String {
    let told = text::with_money(refusal, currency);
    let mut letters = told.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str().trim_end_matches('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_people_type_them() {
        let read = |typed: &str| parse_amount(typed, &Currency::new("USD")).map(Money::cents).ok();
        assert_eq!(["40", "40.5", " $40.50 ", "1,234.50", "$12,345", "0.01"].map(read), [4000, 4050, 4050, 123_450, 1_234_500, 1].map(Some));
        for bad in ["", "0", "0.00", "-1", "1.005", "1,50", "12,34.00", ",500", "1e3", "99999999999999999999", "40 dollars", "٤٠"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_amount_is_said() {
        let said = |typed: &str| parse_amount(typed, &Currency::new("USD")).unwrap_err();
        assert_eq!(["12,50", "$1234,5"].map(said), ["Please use a point for cents: 12.50", "Please use a point for cents: 1234.50"]);
        assert_eq!(said("129.655"), "Please enter at most two digits after the point, like 40.00");
        assert_eq!(["abc", "40 dollars", "12,34.00"].map(said), ["Please enter the amount in digits, like 40.00"; 3]);
        assert_eq!(["0", "-1"].map(said), ["Please enter an amount above zero, like 40.00"; 2]);
        assert_eq!(said(" "), "Please enter an amount, like 40.00");
        assert_eq!(said("99999999999999999999"), "This amount is too large");
    }
}
