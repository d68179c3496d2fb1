//! What banks send: how sure a match must be, fees, and the folder that files come into.

use std::path::PathBuf;

use serde::Deserialize;

/// What banks send.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BankSettings {
    /// From this confidence on, in percent, money is applied at once; below it waits for a clerk. 100 applies nothing at once.
    pub auto_confidence: u8,
    /// Below this confidence, in percent, an account is not even suggested: a suggestion holds that account's bill.
    pub suggest_confidence: u8,
    /// Whether returned payments cost nothing, whatever the tariff says.
    pub waive_returned_payment_fee: bool,
    /// A folder that the server imports from: a file goes to `done` in it, or to `refused` with the reason. Empty is none.
    pub folder: PathBuf,
    /// The saved mapping by which CSV files in the folder are read. Empty is none.
    pub folder_mapping: String,
    /// Through which bank money is paid out.
    pub payouts: PayoutSettings,
    /// How often the folder is looked at, in seconds. A file that changed since the last look is still being written.
    pub poll_seconds: u32,
}

/// Through which bank money is paid out. Without it no files of payouts are made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PayoutSettings {
    /// The payer's name in files; empty is the utility's.
    pub name: String,
    /// The utility's number with the bank: for ACH up to ten letters or digits.
    pub originator_id: String,
    /// The bank's routing number, or BIC.
    pub bank_code: String,
    /// The bank's name.
    pub bank_name: String,
    /// The utility's account, or IBAN.
    pub bank_account: String,
}

impl Default for BankSettings {
    fn default() -> Self {
        Self {
            auto_confidence: 90,
            suggest_confidence: 40,
            waive_returned_payment_fee: false,
            folder: PathBuf::new(),
            folder_mapping: String::new(),
            payouts: PayoutSettings::default(),
            poll_seconds: 30,
        }
    }
}

impl BankSettings {
    /// What is not possible in these settings: the name and what was expected.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let bounds = [
            // Two accounts that fit equally well reach 50: they are never to be applied by themselves.
            ("bank.auto_confidence", (51..=100).contains(&self.auto_confidence), "51 to 100"),
            ("bank.suggest_confidence", (1..=100).contains(&self.suggest_confidence), "1 to 100"),
            ("bank.poll_seconds", (1..=86_400).contains(&self.poll_seconds), "1 to 86400"),
        ];
        let bounds = bounds.into_iter().chain([(
            "bank.payouts.originator_id",
            self.payouts.originator_id.len() <= 10 && self.payouts.originator_id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "up to ten letters or digits",
        )]);
        let mut bounds = bounds.into_iter();
        bounds.find(|(_, fits, _)| !fits).map(|(name, _, expected)| format!("{name}: expected {expected}"))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn what_is_not_possible_is_named() {
        let fault = |text: &str| Config::parse(&format!("[bank]\n{text}")).err().unwrap_or_default();
        assert_eq!(fault("auto_confidence = 80\nfolder = \"bank\""), "");
        assert!(fault("auto_confidence = 50").contains("bank.auto_confidence: expected 51 to 100"));
        assert!(fault("suggest_confidence = 0").contains("bank.suggest_confidence"));
        assert!(fault("poll_seconds = 0").contains("bank.poll_seconds"));
        assert!(fault("colour = 1").contains("colour"));
    }
}
