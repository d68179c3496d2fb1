//! An ISO 20022 credit transfer initiation, pain.001.001.09: one payment information block, control sum and count in both places.

use super::{Batch, Originator, Payment, plain};

/// Writes the message.
#[must_use]
pub fn write(originator: &Originator, batch: &Batch, payments: &[Payment]) -> String {
    let total = amount(payments.iter().map(|payment| payment.amount_cents).sum());
    let (count, id) = (payments.len(), format!("REFUNDS-{}-{}", batch.pay_on.format("%Y%m%d"), batch.number));
    let debtor = text(&originator.name, 70);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out.push_str("<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.001.001.09\">\n<CstmrCdtTrfInitn>\n");
    out.push_str(&format!(
        "<GrpHdr><MsgId>{id}</MsgId><CreDtTm>{}</CreDtTm><NbOfTxs>{count}</NbOfTxs><CtrlSum>{total}</CtrlSum><InitgPty><Nm>{debtor}</Nm></InitgPty></GrpHdr>\n",
        batch.made_at.format("%Y-%m-%dT%H:%M:%S")
    ));
    out.push_str(&format!(
        "<PmtInf><PmtInfId>{id}</PmtInfId><PmtMtd>TRF</PmtMtd><NbOfTxs>{count}</NbOfTxs><CtrlSum>{total}</CtrlSum>\
         <ReqdExctnDt><Dt>{}</Dt></ReqdExctnDt><Dbtr><Nm>{debtor}</Nm></Dbtr><DbtrAcct><Id>{}</Id></DbtrAcct>\
         <DbtrAgt><FinInstnId><BICFI>{}</BICFI></FinInstnId></DbtrAgt>\n",
        batch.pay_on,
        account(&originator.bank_account),
        text(&originator.bank_code, 11)
    ));
    for payment in payments {
        out.push_str(&transfer(payment, &originator.currency));
    }
    out.push_str("</PmtInf>\n</CstmrCdtTrfInitn>\n</Document>\n");
    out
}

fn transfer(payment: &Payment, currency: &str) -> String {
    format!(
        "<CdtTrfTxInf><PmtId><EndToEndId>{}</EndToEndId></PmtId><Amt><InstdAmt Ccy=\"{}\">{}</InstdAmt></Amt>\
         <CdtrAgt><FinInstnId><BICFI>{}</BICFI></FinInstnId></CdtrAgt><Cdtr><Nm>{}</Nm></Cdtr><CdtrAcct><Id>{}</Id></CdtrAcct>\
         <RmtInf><Ustrd>{}</Ustrd></RmtInf></CdtTrfTxInf>\n",
        text(&payment.reference, 35),
        text(currency, 3),
        amount(payment.amount_cents),
        text(&payment.bank_code, 11),
        text(&payment.name, 70),
        account(&payment.bank_account),
        text(&format!("Refund {} account {}", payment.reference, payment.account), 140)
    )
}

fn account(number: &str) -> String {
    if number.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        return format!("<IBAN>{}</IBAN>", text(number, 34));
    }
    format!("<Othr><Id>{}</Id></Othr>", text(number, 34))
}

fn amount(cents: i64) -> String {
    crate::domain::money::Money::from_cents(cents).to_string()
}

fn text(words: &str, most: usize) -> String {
    let cut: String = plain(words).chars().take(most).collect();
    cut.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&apos;")
}
