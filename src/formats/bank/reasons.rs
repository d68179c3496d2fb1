//! What the standards' reason codes mean, in words that a clerk can use.

/// The meaning of a NACHA return reason, R01 to R85.
pub fn ach_return(code: &str) -> Option<&'static str> {
    lookup(ACH_RETURNS, code)
}

/// The meaning of a NACHA notification of change, C01 to C14, or of its refusal, C61 to C69.
pub fn ach_change(code: &str) -> Option<&'static str> {
    lookup(ACH_CHANGES, code)
}

/// The meaning of an ISO 20022 return or reversal reason, of those that payments of bills meet.
pub fn iso_return(code: &str) -> Option<&'static str> {
    lookup(ISO_RETURNS, code)
}

/// The meaning of an ISO 20022 sub-family code of bookings that take something back.
pub fn iso_subfamily(code: &str) -> Option<&'static str> {
    lookup(ISO_SUBFAMILIES, code)
}

/// The meaning of a BAI2 type code of a single item that takes something back.
pub fn bai2_return(code: u16) -> Option<&'static str> {
    Some(match code {
        123 | 423 => "EDI payment returned",
        168 | 257 | 468 | 557 => "ACH item returned",
        252 => "debit reversed",
        255 => "check posted and returned",
        258 | 558 => "ACH item reversed",
        261 => "rejected credit",
        266 | 566 => "item returned",
        395 => "check reversed",
        552 => "credit reversed",
        555 => "deposited item returned",
        561 => "rejected debit",
        _ => return None,
    })
}

fn lookup(table: &[(&str, &'static str)], code: &str) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == code).map(|(_, meaning)| *meaning)
}

const ACH_RETURNS: &[(&str, &str)] = &[
    ("R01", "not enough money in the account"),
    ("R02", "the account is closed"),
    ("R03", "no such account, or not that person's"),
    ("R04", "the account number is not valid"),
    ("R05", "a company's kind of debit was used on a consumer's account without authorization"),
    ("R06", "returned at the request of the bank that sent it"),
    ("R07", "the customer revoked the authorization"),
    ("R08", "the customer stopped the payment"),
    ("R09", "the money in the account is not collected yet"),
    ("R10", "the customer says that the sender is unknown or not authorized"),
    ("R11", "the customer says that the debit is not what was authorized"),
    ("R12", "the branch was sold to another bank"),
    ("R13", "the bank does not take part"),
    ("R14", "the representative payee has died or cannot act any more"),
    ("R15", "the beneficiary or account holder has died"),
    ("R16", "the account is frozen"),
    ("R17", "the bank could not process a field, or suspects the entry"),
    ("R18", "the effective date is not acceptable"),
    ("R19", "the amount is not acceptable"),
    ("R20", "the account does not allow such payments"),
    ("R21", "the company identification is not valid"),
    ("R22", "the individual identification is not valid"),
    ("R23", "the receiver refused the credit"),
    ("R24", "duplicate entry"),
    ("R25", "error in an addenda record"),
    ("R26", "error in a mandatory field"),
    ("R27", "error in the trace number"),
    ("R28", "the routing number's check digit is wrong"),
    ("R29", "the company says that the debit is not authorized"),
    ("R30", "the bank does not take part in check truncation"),
    ("R31", "returned with the permission of the bank that sent it"),
    ("R32", "the bank could not settle"),
    ("R33", "a destroyed check's entry was returned"),
    ("R34", "the bank's participation is limited"),
    ("R35", "debits are not allowed for this kind of entry"),
    ("R36", "credits are not allowed for this kind of entry"),
    ("R37", "the paper check was presented too"),
    ("R38", "the paper check was stopped"),
    ("R39", "the paper check was not suitable for this"),
    ("R40", "returned by a federal agency (enrollment)"),
    ("R41", "the transaction code is not valid (enrollment)"),
    ("R42", "the routing number is not valid (enrollment)"),
    ("R43", "the account number is not valid (enrollment)"),
    ("R44", "the individual identification is not valid (enrollment)"),
    ("R45", "the name is not valid (enrollment)"),
    ("R46", "the representative payee indicator is not valid (enrollment)"),
    ("R47", "duplicate enrollment"),
    ("R50", "state law does not allow the check to be presented again this way"),
    ("R51", "the check may not be presented again this way"),
    ("R52", "the check that is presented again was stopped"),
    ("R53", "both the check and its entry were presented"),
    ("R61", "the return was sent to the wrong bank"),
    ("R62", "return of an erroneous or reversing debit"),
    ("R63", "the return has a wrong amount"),
    ("R64", "the return has a wrong individual identification"),
    ("R65", "the return has a wrong transaction code"),
    ("R66", "the return has a wrong company identification"),
    ("R67", "the entry was returned twice"),
    ("R68", "the return came too late"),
    ("R69", "the return has errors in its fields"),
    ("R70", "the return was neither requested nor agreed to"),
    ("R71", "the dishonored return was sent to the wrong bank"),
    ("R72", "the dishonored return came too late"),
    ("R73", "the first return was in time"),
    ("R74", "a corrected return"),
    ("R75", "the return was no duplicate"),
    ("R76", "the return had no errors"),
    ("R77", "the dishonored return of a reversal is not accepted"),
    ("R80", "an international entry has wrong codes"),
    ("R81", "the bank takes no part in international entries"),
    ("R82", "the foreign bank's identification is not valid"),
    ("R83", "the foreign bank could not settle"),
    ("R84", "not processed by the gateway"),
    ("R85", "an international payment was coded as a domestic one"),
];

const ACH_CHANGES: &[(&str, &str)] = &[
    ("C01", "the account number is wrong"),
    ("C02", "the routing number is wrong"),
    ("C03", "the routing number and the account number are wrong"),
    ("C04", "the name is wrong"),
    ("C05", "the transaction code is wrong"),
    ("C06", "the account number and the transaction code are wrong"),
    ("C07", "the routing number, the account number and the transaction code are wrong"),
    ("C08", "the foreign bank's identification is wrong"),
    ("C09", "the individual identification is wrong"),
    ("C10", "the company name is wrong"),
    ("C11", "the company identification is wrong"),
    ("C12", "the company name and identification are wrong"),
    ("C13", "an addenda record has a wrong format"),
    ("C14", "an international entry is to be sent as a domestic one, or the other way round"),
    ("C61", "notification of change refused: sent to the wrong bank"),
    ("C62", "notification of change refused: wrong trace number"),
    ("C63", "notification of change refused: wrong company identification"),
    ("C64", "notification of change refused: wrong individual identification"),
    ("C65", "notification of change refused: wrongly formatted corrected data"),
    ("C66", "notification of change refused: wrong discretionary data"),
    ("C67", "notification of change refused: wrong routing number"),
    ("C68", "notification of change refused: wrong account number"),
    ("C69", "notification of change refused: wrong transaction code"),
];

const ISO_RETURNS: &[(&str, &str)] = &[
    ("AC01", "the account number is not valid"),
    ("AC03", "the creditor's account number is not valid"),
    ("AC04", "the account is closed"),
    ("AC06", "the account is blocked"),
    ("AC13", "the account is of a kind that this debit may not be drawn from"),
    ("AG01", "such a payment is not allowed on this account"),
    ("AG02", "the bank operation code is not valid"),
    ("AM01", "the amount is zero"),
    ("AM02", "the amount is above what is allowed"),
    ("AM03", "the currency is not allowed"),
    ("AM04", "not enough money in the account"),
    ("AM05", "duplicate payment"),
    ("AM09", "the amount is wrong"),
    ("BE01", "the name does not belong to the account"),
    ("BE04", "the creditor's address is missing"),
    ("BE05", "the creditor's identification is not known"),
    ("BE06", "the customer is not known"),
    ("BE07", "the debtor's address is missing"),
    ("CNOR", "the creditor's bank is not registered"),
    ("CUST", "the customer asked for it"),
    ("DNOR", "the debtor's bank is not registered"),
    ("DUPL", "duplicate payment"),
    ("ED05", "settlement failed"),
    ("FF01", "the file format is not valid"),
    ("FF05", "the kind of direct debit is not valid"),
    ("FOCR", "returned after a request to cancel"),
    ("FRAD", "returned because of fraud"),
    ("MD01", "there is no mandate"),
    ("MD02", "data of the mandate are missing or wrong"),
    ("MD06", "the debtor asked for the money back"),
    ("MD07", "the debtor has died"),
    ("MS02", "the debtor refused"),
    ("MS03", "no reason given by the bank"),
    ("NARR", "the reason is in the text"),
    ("NOAS", "no answer from the customer"),
    ("NOOR", "the original payment was not found"),
    ("PY01", "the bank is not in the routing table"),
    ("RC01", "the bank identification is not valid"),
    ("RC04", "the creditor's bank identification is not valid"),
    ("RR01", "the debtor's account or identification is missing (regulation)"),
    ("RR02", "the debtor's name or address is missing (regulation)"),
    ("RR03", "the creditor's name or address is missing (regulation)"),
    ("RR04", "for a reason of regulation"),
    ("SL01", "a service of the debtor's bank"),
    ("SL11", "the creditor is not on the debtor's list of allowed creditors"),
    ("SL12", "the creditor is on the debtor's list of refused creditors"),
    ("SL13", "above the largest amount that the debtor allows"),
    ("SL14", "more often than the debtor allows"),
    ("TECH", "technical problems"),
    ("TM01", "received after the cut-off time"),
    ("UPAY", "the payment was not due"),
];

const ISO_SUBFAMILIES: &[(&str, &str)] = &[
    ("ARET", "return"),
    ("CQRV", "cheque reversal"),
    ("PADD", "unpaid or returned direct debit"),
    ("UPDD", "unpaid or returned direct debit"),
    ("PRDD", "direct debit reversed by the creditor"),
    ("RPCR", "reversed after a request to cancel"),
    ("RPMT", "returned payment"),
    ("RRTN", "returned payment"),
    ("UPCQ", "unpaid cheque"),
    ("UPTC", "unpaid traveller's cheque"),
];
