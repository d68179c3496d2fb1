//! Paying without signing in: whoever knows an account's number and its postcode may pay for it, and learns what is due and
//! nothing else. Guesses are counted before they are looked at, by account and by client.

use super::begin::{Payer, Wish, begin};
use super::payable::PayableAccount;
use crate::actions::sign_in::{Attempt, Client, Subject, accepted, count};
use crate::actions::{ActionError, Context};
use crate::db::account_views::{self, AccountHead};
use crate::db::{DbConnection, customers};
use crate::domain::ids::AccountId;
use crate::domain::money::Money;
use crate::domain::postcode::is_postcode_of;

/// What is typed is never longer.
const LONGEST_NUMBER: usize = 64;

/// An account as a guest sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestAccount {
    /// The account's number, as it is on file.
    pub number: String,
    /// What is due and not on its way already.
    pub due: Money,
    /// What is on its way already.
    pub on_its_way: Money,
}

/// The account of a number and its postcode. A wrong number and a wrong postcode are the same to whoever asks.
///
/// # Errors
/// Those of the database.
pub fn find_as_guest(context: &Context, number: &str, postcode: &str, client: &Client) -> Result<Attempt<GuestAccount>, ActionError> {
    let key = bare(number);
    let subjects = [Subject::Postcode(&key), Subject::PostcodesFor(&client.address)];
    if let Some(until) = count(context, &subjects)? {
        return Ok(Attempt::Blocked { until });
    }
    let found = context.database.snapshot(|conn| match known(conn, number, postcode)? {
        Some(head) => PayableAccount::of(conn, head).map(Some),
        None => Ok(None),
    })?;
    let Some(account) = found else { return Ok(Attempt::Wrong) };
    context.database.write(|conn| accepted(conn, &subjects))?;
    Ok(Attempt::Accepted(GuestAccount { due: account.due(), on_its_way: account.on_its_way(), number: account.head.number }))
}

/// A number without what people write as they like: `mb 1029` and `MB-1029` are one, and guesses at either are counted together.
fn bare(number: &str) -> String {
    number.chars().filter(|letter| !letter.is_whitespace() && !matches!(letter, '-' | '_' | '.' | '/')).flat_map(char::to_uppercase).collect()
}

/// How a number may be on file that somebody typed: as it is, or with other capitals and another sign, or none, where letters
/// and digits meet and where a sign was typed.
fn spellings(number: &str) -> Vec<String> {
    let typed = number.trim();
    let mut pieces: Vec<String> = Vec::new();
    let mut last = None;
    for letter in typed.chars() {
        let sort = (letter.is_ascii_digit(), letter.is_alphanumeric());
        if letter.is_alphanumeric() {
            match pieces.last_mut().filter(|_| last == Some(sort)) {
                Some(piece) => piece.push(letter),
                None => pieces.push(letter.to_string()),
            }
        }
        last = Some(sort);
    }
    let mut found = vec![typed.to_owned()];
    for sign in ["-", "", " ", "_", ".", "/"] {
        let joined = pieces.join(sign);
        found.extend([joined.to_uppercase(), joined.to_lowercase(), joined]);
    }
    found.sort();
    found.dedup();
    found
}

/// The account of a number, when the postcode is that of a place it is or was served at (who has moved out still pays the final
/// bill), or of where its paper goes.
fn known(conn: &mut DbConnection, number: &str, postcode: &str) -> Result<Option<AccountHead>, ActionError> {
    let head = if number.len() > LONGEST_NUMBER { None } else { account_views::head(conn, number.trim())? };
    let head = match head {
        None if number.len() <= LONGEST_NUMBER => account_views::only_head(conn, &spellings(number))?,
        head => head,
    };
    // For a number that is not there the same is asked, so that the time of the answer tells less.
    let account = head.as_ref().map_or(AccountId(0), |head| head.id);
    let served = customers::addresses_of(conn, account)?;
    let mailing = head.as_ref().and_then(|head| head.mailing_address.as_deref());
    let mut addresses = served.iter().map(String::as_str).chain(mailing);
    Ok(head.clone().filter(|_| addresses.any(|address| is_postcode_of(postcode, address))))
}

/// Begins a payment for an account whose postcode is known; the pair is checked again.
///
/// # Errors
/// As [`begin`].
pub fn begin_as_guest(
    context: &Context,
    form_key: &str,
    (number, postcode): (&str, &str),
    amount: Money,
    client: &Client,
) -> Result<Attempt<String>, ActionError> {
    let account = match find_as_guest(context, number, postcode, client)? {
        Attempt::Accepted(account) => account,
        Attempt::Wrong => return Ok(Attempt::Wrong),
        Attempt::Blocked { until } => return Ok(Attempt::Blocked { until }),
    };
    if let Some(until) = count(context, &[Subject::PaymentsFor(&client.address)])? {
        return Ok(Attempt::Blocked { until });
    }
    begin(context, &Wish { form_key: form_key.to_owned(), parts: vec![(account.number, amount)], payer: Payer::Guest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_however_it_is_written() {
        for typed in ["mb 1029", "MB1029", " Mb-1029 ", "mb.1029", "MB-1029"] {
            assert!(spellings(typed).contains(&"MB-1029".to_owned()), "{typed}: {:?}", spellings(typed));
            assert_eq!(bare(typed), "MB1029");
        }
        assert!(spellings("00-12").contains(&"0012".to_owned()));
        assert!(!spellings("MB-1029").contains(&"MB-102".to_owned()));
        assert_eq!(spellings("").len(), 1);
        assert!(spellings(&"a1".repeat(32)).len() <= 19);
    }
}
