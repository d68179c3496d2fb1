//! Who signed it: the rules of `Stripe-Signature`.

use aquabills::config::{ProviderSettings, Secret};
use aquabills::providers::stripe::Stripe;
use aquabills::providers::{PaymentProvider, SignatureError};
use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use sha2::Sha256;

use crate::settings;

const NOW: i64 = 1_716_890_235;

fn stripe(secrets: &[&str]) -> Stripe {
    let webhook_secrets = secrets.iter().copied().map(Secret::new).collect();
    Stripe::open(&ProviderSettings { webhook_secrets, ..settings("https://api.stripe.com") })
}

fn mark(secret: &str, at: i64, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(format!("{at}.")).chain_update(body);
    data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes())
}

fn header(secret: &str, at: i64, body: &[u8]) -> String {
    format!("t={at},v1={}", mark(secret, at, body))
}

#[test]
fn a_mark_that_another_program_made_fits() {
    // Made with Python's hmac.
    let known = "t=1716890235,v1=bb2c6288bc3a11e5b8c6c0b19597fa9f5c993336b79118939c6fdf46e7e869a9";
    assert_eq!(stripe(&["whsec_known"]).verify(br#"{"id":"evt_1","object":"event"}"#, Some(known), NOW), Ok(()));
}

#[test]
fn any_active_secret_and_any_mark_will_do() {
    let body = b"{}";
    let both = stripe(&["whsec_old", "whsec_new"]);
    for secret in ["whsec_old", "whsec_new"] {
        assert_eq!(both.verify(body, Some(&header(secret, NOW, body)), NOW), Ok(()));
    }
    let (good, bad) = (mark("whsec_new", NOW, body), "0".repeat(64));
    for marks in [
        format!("v1={bad},v1={good}"),
        format!("v1={good},v1={bad},v0={bad}"),
        format!("v0={bad},v1=zz,v1={good}"),
        format!("v1={}", good.to_uppercase()),
        format!(" v1={good}, v2=new"),
    ] {
        assert_eq!(both.verify(body, Some(&format!("t={NOW},{marks}")), NOW), Ok(()), "{marks}");
        assert_eq!(both.verify(body, Some(&format!("{marks},t={NOW}")), NOW), Ok(()), "{marks}");
    }
    assert_eq!(both.verify(body, Some(&header("whsec_other", NOW, body)), NOW), Err(SignatureError::Mismatch));
    // Only v1 counts, whatever else is right.
    assert_eq!(both.verify(body, Some(&format!("t={NOW},v0={good},v1={bad}")), NOW), Err(SignatureError::Mismatch));
}

#[test]
fn the_time_is_held_on_both_sides() {
    let (client, body) = (stripe(&["whsec"]), b"{}");
    let at = |at: i64| client.verify(body, Some(&header("whsec", at, body)), NOW);
    assert_eq!((at(NOW - 300), at(NOW + 300)), (Ok(()), Ok(())));
    let late = |seconds| Err(SignatureError::Time { seconds, tolerance: 300 });
    assert_eq!((at(NOW - 301), at(NOW + 301), at(0)), (late(301), late(301), late(NOW.unsigned_abs())));
    // Another time than the signed one is no signature.
    let moved = header("whsec", NOW - 1000, body).replace(&(NOW - 1000).to_string(), &NOW.to_string());
    assert_eq!(client.verify(body, Some(&moved), NOW), Err(SignatureError::Mismatch));
}

#[test]
fn headers_of_another_form_are_none() {
    let (client, body) = (stripe(&["whsec"]), b"{}");
    let good = mark("whsec", NOW, body);
    assert_eq!(client.verify(body, None, NOW), Err(SignatureError::Form));
    for wrong in [
        String::new(),
        "nonsense".to_owned(),
        format!("v1={good}"),
        format!("t={NOW}"),
        format!("t={NOW},v0={good}"),
        format!("t=,v1={good}"),
        format!("t=-5,v1={good}"),
        format!("t=+{NOW},v1={good}"),
        format!("t=99999999999999999999,v1={good}"),
        format!("t={NOW},t={NOW},v1={good}"),
        format!("t={NOW};v1={good}"),
        format!("t={NOW},v1={good},{}", "x=y,".repeat(2000)),
    ] {
        assert_eq!(client.verify(body, Some(&wrong), NOW), Err(SignatureError::Form), "{wrong:.80}");
    }
    // A mark that is cut short, or longer, is a mark that does not fit.
    for wrong in [&good[..62], &format!("{good}00"), ""] {
        let told = client.verify(body, Some(&format!("t={NOW},v1={wrong}")), NOW);
        assert_eq!(told, Err(SignatureError::Mismatch), "{wrong}");
    }
}

proptest! {
    #[test]
    fn what_was_signed_fits(body in prop::collection::vec(any::<u8>(), 0..300), secret in "[!-~]{1,80}", away in -300i64..=300) {
        let client = stripe(&[secret.as_str()]);
        prop_assert_eq!(client.verify(&body, Some(&header(&secret, NOW + away, &body)), NOW), Ok(()));
    }

    #[test]
    fn any_changed_bit_is_seen(body in prop::collection::vec(any::<u8>(), 1..300), at in any::<prop::sample::Index>(), bit in 0u32..8) {
        let client = stripe(&["whsec"]);
        let signed = header("whsec", NOW, &body);
        let mut changed = body;
        let index = at.index(changed.len());
        changed[index] ^= 1 << bit;
        prop_assert_eq!(client.verify(&changed, Some(&signed), NOW), Err(SignatureError::Mismatch));
    }

    #[test]
    fn no_header_stops_the_program(header in "\\PC{0,200}", body in prop::collection::vec(any::<u8>(), 0..50), now in any::<i64>()) {
        prop_assert!(stripe(&["whsec"]).verify(&body, Some(&header), now).is_err());
    }
}
