//! Who signed a delivered event: `Stripe-Signature: t=…,v1=…`, an HMAC with SHA-256 over the time, a dot and the raw body.

use data_encoding::HEXLOWER_PERMISSIVE;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::Secret;
use crate::providers::SignatureError;

/// A header that is longer is no signature.
const LONGEST_HEADER: usize = 4096;

/// What the header says.
struct Signed<'a> {
    /// The text of the time, as it was signed.
    at_text: &'a str,
    at: i64,
    /// Each `v1`, decoded; other schemes are not looked at.
    marks: Vec<Vec<u8>>,
}

/// Any of our secrets may have made any of the header's `v1`; the comparison takes the same time wherever they differ.
pub(super) fn verify(secrets: &[Secret], tolerance: u64, body: &[u8], header: Option<&str>, now: i64) -> Result<(), SignatureError> {
    let signed = header.and_then(parse).ok_or(SignatureError::Form)?;
    let made_by = |secret: &Secret| {
        // A key of any length is one for HMAC.
        let Ok(keyed) = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()) else { return false };
        let mac = keyed.chain_update(signed.at_text.as_bytes()).chain_update(b".").chain_update(body);
        signed.marks.iter().any(|mark| mac.clone().verify_slice(mark).is_ok())
    };
    if !secrets.iter().any(made_by) {
        return Err(SignatureError::Mismatch);
    }
    let seconds = now.abs_diff(signed.at);
    if seconds > tolerance { Err(SignatureError::Time { seconds, tolerance }) } else { Ok(()) }
}

fn parse(header: &str) -> Option<Signed<'_>> {
    if header.len() > LONGEST_HEADER {
        return None;
    }
    let mut at_text = None;
    let mut marks = Vec::new();
    for item in header.split(',') {
        let (scheme, value) = item.trim().split_once('=')?;
        match scheme {
            "t" if at_text.is_some() => return None,
            "t" => at_text = Some(value),
            // What is no hexadecimal number is no mark, and no reason to refuse the others.
            "v1" => marks.extend(HEXLOWER_PERMISSIVE.decode(value.as_bytes())),
            _ => {}
        }
    }
    let at_text = at_text.filter(|text| (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()))?;
    let at = at_text.parse().ok()?;
    if marks.is_empty() { None } else { Some(Signed { at_text, at, marks }) }
}
