//! Bringing movements and accounts before the rule: which accounts may be meant, with what is known of them.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::actions::{ActionError, Context};
use crate::db::billing::bill_number;
use crate::db::{DbConnection, bank_match};
use crate::domain::ids::AccountId;
use crate::domain::matching::{Candidate, Suggestion, Told, bills_named, key_of, keys_in, name_words, suggest};
use crate::domain::money::Money;

/// Accounts are read in pages of so many.
const PAGE: i64 = 20_000;
/// A word that more customers have in their names says nothing.
const MOST_NAMESAKES: usize = 300;
/// So many accounts that a name may mean are looked at closely.
const MOST_BY_NAME: usize = 60;
/// Movements are judged in groups of so many.
const GROUP: usize = 500;
/// So many of an account's latest bills are compared.
const BILLS_EACH: i64 = 6;
/// So many accounts are asked about at once.
const ACCOUNTS_AT_ONCE: usize = 1_000;
/// So many payers are asked about at once.
const PAYERS_AT_ONCE: usize = 500;

/// Every account by what may name it, as of one moment.
struct Directory {
    accounts: Vec<(AccountId, String, String)>,
    by_id: HashMap<AccountId, usize>,
    by_key: HashMap<String, Vec<usize>>,
    by_word: HashMap<String, Vec<usize>>,
}

impl Directory {
    fn load(conn: &mut DbConnection) -> Result<Self, ActionError> {
        let mut directory = Self { accounts: Vec::new(), by_id: HashMap::new(), by_key: HashMap::new(), by_word: HashMap::new() };
        let mut after = AccountId(0);
        loop {
            let page = bank_match::named_accounts(conn, after, PAGE)?;
            let Some((last, ..)) = page.last() else { return Ok(directory) };
            after = *last;
            for (id, number, name) in page {
                let at = directory.accounts.len();
                directory.by_id.insert(id, at);
                directory.by_key.entry(key_of(&number)).or_default().push(at);
                for word in name_words(&name).into_iter().filter(|word| word.chars().count() >= 3) {
                    let namesakes = directory.by_word.entry(word).or_default();
                    // One more than are ever used, so that too many are known to be too many.
                    if namesakes.len() <= MOST_NAMESAKES && namesakes.last() != Some(&at) {
                        namesakes.push(at);
                    }
                }
                directory.accounts.push((id, number, name));
            }
        }
    }

    /// The accounts that a movement may mean.
    fn meant(&self, told: &Told, payers: &HashMap<String, Vec<AccountId>>) -> HashSet<usize> {
        let mut meant: HashSet<usize> = HashSet::new();
        for key in keys_in(told) {
            meant.extend(self.by_key.get(&key).into_iter().flatten().take(MOST_BY_NAME));
        }
        meant.extend(bills_named(told).into_iter().filter_map(|(_, account)| self.by_id.get(&AccountId(account))));
        let paid = told.party_account.as_ref().and_then(|payer| payers.get(payer));
        meant.extend(paid.into_iter().flatten().take(MOST_BY_NAME).filter_map(|account| self.by_id.get(account)));
        meant.extend(self.named(told));
        meant
    }

    /// The accounts whose customers have words of the payer's name; without a payer's name, two words of the text.
    fn named(&self, told: &Told) -> Vec<usize> {
        let (words, least) = match &told.party_name {
            Some(name) => (name_words(name), 1),
            None => (name_words(&format!("{} {}", told.references.join(" "), told.text)), 2),
        };
        let mut hits: BTreeMap<usize, usize> = BTreeMap::new();
        for namesakes in words.iter().filter_map(|word| self.by_word.get(word)).filter(|namesakes| namesakes.len() <= MOST_NAMESAKES) {
            for at in namesakes {
                *hits.entry(*at).or_default() += 1;
            }
        }
        let mut hits: Vec<(usize, usize)> = hits.into_iter().filter(|(_, words)| *words >= least).map(|(at, words)| (words, at)).collect();
        hits.sort_unstable_by_key(|(words, at)| (std::cmp::Reverse(*words), *at));
        hits.into_iter().take(MOST_BY_NAME).map(|(_, at)| at).collect()
    }
}

/// Judges movements: for each the account that it is taken for, how surely, and why.
pub(super) fn judge(context: &Context, told: &[Told]) -> Result<Vec<Suggestion>, ActionError> {
    if told.is_empty() {
        return Ok(Vec::new());
    }
    context.database.snapshot(|conn| {
        let directory = Directory::load(conn)?;
        let payers = payers(conn, told)?;
        let mut judged = Vec::with_capacity(told.len());
        for group in told.chunks(GROUP) {
            let meant: Vec<HashSet<usize>> = group.iter().map(|told| directory.meant(told, &payers)).collect();
            let all: HashSet<usize> = meant.iter().flatten().copied().collect();
            let known = Known::load(conn, &directory, &all)?;
            for (told, meant) in group.iter().zip(&meant) {
                let paid = told.party_account.as_ref().and_then(|payer| payers.get(payer));
                let mut meant: Vec<usize> = meant.iter().copied().collect();
                meant.sort_unstable();
                let candidates: Vec<Candidate> = meant.iter().filter_map(|at| known.candidate(&directory, *at, paid)).collect();
                judged.push(suggest(told, &candidates));
            }
        }
        Ok(judged)
    })
}

fn payers(conn: &mut DbConnection, told: &[Told]) -> Result<HashMap<String, Vec<AccountId>>, ActionError> {
    let mut asked: Vec<&str> = told.iter().filter_map(|told| told.party_account.as_deref()).filter(|payer| !payer.is_empty()).collect();
    asked.sort_unstable();
    asked.dedup();
    let mut payers: HashMap<String, Vec<AccountId>> = HashMap::new();
    for asked in asked.chunks(PAYERS_AT_ONCE) {
        for (payer, account) in bank_match::paid_before(conn, asked)? {
            payers.entry(payer).or_default().push(account);
        }
    }
    Ok(payers)
}

/// What is due and what was billed.
struct Known {
    due: HashMap<AccountId, Money>,
    bills: HashMap<AccountId, Vec<(String, Money)>>,
}

impl Known {
    fn load(conn: &mut DbConnection, directory: &Directory, all: &HashSet<usize>) -> Result<Self, ActionError> {
        let mut ids: Vec<AccountId> = all.iter().filter_map(|at| directory.accounts.get(*at)).map(|(id, ..)| *id).collect();
        ids.sort_unstable();
        let mut known = Self { due: HashMap::new(), bills: HashMap::new() };
        for ids in ids.chunks(ACCOUNTS_AT_ONCE) {
            let balances = bank_match::balances(conn, ids)?;
            known.due.extend(balances.into_iter().map(|(id, cents)| (id, Money::from_cents(cents))));
            for bill in bank_match::latest_bills(conn, ids, BILLS_EACH)? {
                let number = bill_number(bill.run_id, bill.account_id);
                let bills = known.bills.entry(bill.account_id).or_default();
                bills.push((number.clone(), Money::from_cents(bill.amount_due_cents)));
                if bill.total_cents != bill.amount_due_cents {
                    bills.push((number, Money::from_cents(bill.total_cents)));
                }
            }
        }
        Ok(known)
    }

    fn candidate(&self, directory: &Directory, at: usize, paid: Option<&Vec<AccountId>>) -> Option<Candidate> {
        let (account, number, name) = directory.accounts.get(at)?;
        Some(Candidate {
            account: *account,
            number: number.clone(),
            name: name.clone(),
            due: self.due.get(account).copied().unwrap_or_default(),
            bills: self.bills.get(account).cloned().unwrap_or_default(),
            paid_before: paid.is_some_and(|paid| paid.contains(account)),
        })
    }
}
