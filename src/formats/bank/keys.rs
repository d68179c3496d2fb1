//! What an entry is known by, so that the same money told twice is counted once.

use std::collections::HashMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::{BankEntry, BankEntryKind, BankFile, Statement};

/// A key longer than this, in bytes, is shortened to its beginning and a hash of the whole: a database's index has a limit.
const LONGEST_KEY_BYTES: usize = 400;
const KEPT_OF_LONG_KEY_BYTES: usize = 300;

impl Statement {
    /// What each entry is known by, unique within the bank account; see [`BankFile::entry_keys`], which also tells apart equal
    /// entries of two statements in one file.
    #[must_use]
    pub fn entry_keys(&self) -> Vec<String> {
        let mut seen = HashMap::new();
        self.entries.iter().map(|entry| numbered(&mut seen, key(entry))).collect()
    }
}

impl BankFile {
    /// What each entry is known by: for each statement the keys of its entries. Keys are unique within a bank account and do
    /// not depend on the file's name, its order, or the statement's number, so that the same file twice, and a day that two
    /// files tell of, give the same keys.
    ///
    /// Where the bank gives a reference (camt's `AcctSvcrRef`, an ACH trace number), the key is that with day and amount. It is
    /// how a camt.054 and the camt.053 of the same movement are recognised: both carry the account servicer's reference of the
    /// booking. Day and amount are part of it because banks have been seen to use a reference again, and money that is taken
    /// for known would be lost: the import lets a person decide about it. Elsewhere the key is all that the file says of the entry. Entries that are equal in all of it
    /// are numbered within the bank account and file; of two different files that tell of equal entries of one day without
    /// any reference, the second one's are taken for the first one's.
    ///
    /// A pending entry has another key than the booked one that follows it.
    #[must_use]
    pub fn entry_keys(&self) -> Vec<Vec<String>> {
        let mut accounts: HashMap<&str, HashMap<String, u32>> = HashMap::new();
        let keys = self.statements.iter().map(|statement| {
            let seen = accounts.entry(&statement.bank_account).or_default();
            statement.entries.iter().map(|entry| numbered(seen, key(entry))).collect()
        });
        keys.collect()
    }
}

fn numbered(seen: &mut HashMap<String, u32>, mut key: String) -> String {
    let ordinal = seen.entry(key.clone()).and_modify(|ordinal| *ordinal += 1).or_insert(1);
    // Writing to a String cannot fail.
    let _ = write!(key, "#{ordinal}");
    key
}

fn key(entry: &BankEntry) -> String {
    let state = match entry.kind {
        BankEntryKind::Pending => "pending",
        BankEntryKind::Notice { .. } => "notice",
        _ => "booked",
    };
    let start = format!("{state}|{}|{}|", entry.booked_on, entry.amount.cents());
    let whole = if let Some(bank_ref) = &entry.bank_ref {
        format!("{start}ref|{bank_ref}")
    } else {
        let texts = [entry.party_name.as_deref(), entry.party_account.as_deref(), Some(&entry.text)];
        let fields = entry.references.iter().map(String::as_str).chain(texts.into_iter().map(Option::unwrap_or_default));
        // A bar within a field is not one between two.
        let fields: Vec<String> = fields.map(|field| field.replace('\\', r"\\").replace('|', r"\|")).collect();
        format!("{start}{}|{}", entry.code, fields.join("|"))
    };
    shortened(whole)
}

fn shortened(key: String) -> String {
    if key.len() <= LONGEST_KEY_BYTES {
        return key;
    }
    let kept: String =
        key.char_indices().take_while(|(at, letter)| at + letter.len_utf8() <= KEPT_OF_LONG_KEY_BYTES).map(|(_, letter)| letter).collect();
    format!("{kept}…{}", data_encoding::HEXLOWER.encode(&Sha256::digest(key.as_bytes())))
}
