//! The signature of a callback, as Stripe's reference describes it: written apart from the one that checks it.

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::faults::SignatureFault;

/// The value of `Stripe-Signature` and the body that is sent, for a body that was made at `now`. `None` is no header.
pub(super) fn sign(secret: &str, body: &str, now: i64, fault: SignatureFault) -> (Option<String>, String) {
    let (secret, at) = match fault {
        SignatureFault::Wrong => (format!("{secret}-of-somebody-else"), now),
        SignatureFault::Old => (secret.to_owned(), now - 3600),
        _ => (secret.to_owned(), now),
    };
    // Real headers bear signatures of other schemes, too: whoever reads them looks at v1 only.
    let header = format!("t={at},v1={},v0={}", mark(&secret, at, body), "0".repeat(64));
    match fault {
        SignatureFault::Missing => (None, body.to_owned()),
        SignatureFault::Body => (Some(header), body.replacen("\"object\":\"event\"", "\"object\": \"event\"", 1)),
        _ => (Some(header), body.to_owned()),
    }
}

fn mark(secret: &str, at: i64, body: &str) -> String {
    // A key of any length is one for HMAC: the error cannot happen, and an empty mark fits nothing.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    let mac = mac.chain_update(format!("{at}.")).chain_update(body);
    mac.finalize().into_bytes().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
