//! How money came to the bank, as far as its file tells: which of it a payer's bank can still take back depends on that.

/// The tender of a movement at the bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BankTender {
    /// The payer sent it.
    Transfer,
    /// We drew it.
    DirectDebit,
    /// Cheques that were paid in.
    Cheque,
    /// The file does not tell: it may be any of them.
    Unknown,
}

/// The tender of a movement by its file's format and the format's own code: BAI2 types, the families of ISO 20022, and the
/// transaction codes of ACH. A CSV tells nothing.
#[must_use]
pub fn bank_tender(format: &str, code: &str) -> BankTender {
    match format {
        "bai2" => match code {
            // Wires and credits that the payer's bank sent.
            "142" | "165" | "191" | "195" | "206" | "208" => BankTender::Transfer,
            "155" => BankTender::DirectDebit,
            // Lock boxes and packages of cheques.
            "115" | "116" | "175" => BankTender::Cheque,
            _ => BankTender::Unknown,
        },
        "camt053" | "camt054" => match code.split('/').nth(1) {
            Some("RCDT" | "RRCT") => BankTender::Transfer,
            Some("IDDT") => BankTender::DirectDebit,
            Some("RCHQ" | "ICHQ" | "LBOX") => BankTender::Cheque,
            _ => BankTender::Unknown,
        },
        // Entries of an ACH file are credits that the payer's bank sent.
        "ach" => BankTender::Transfer,
        _ => BankTender::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_tells_is_taken_and_nothing_else() {
        for (format, code, tender) in [
            ("bai2", "195", BankTender::Transfer),
            ("bai2", "115", BankTender::Cheque),
            ("bai2", "155", BankTender::DirectDebit),
            ("bai2", "399", BankTender::Unknown),
            ("camt053", "PMNT/RCDT/ESCT", BankTender::Transfer),
            ("camt054", "PMNT/IDDT/ESDD", BankTender::DirectDebit),
            ("camt053", "PMNT/RCHQ/CCHQ", BankTender::Cheque),
            ("camt053", "NTRF", BankTender::Unknown),
            ("camt053", "", BankTender::Unknown),
            ("ach", "220/22", BankTender::Transfer),
            ("csv", "RCDT", BankTender::Unknown),
        ] {
            assert_eq!(bank_tender(format, code), tender, "{format} {code}");
        }
    }
}
