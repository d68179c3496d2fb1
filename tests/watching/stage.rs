//! What these stories share: a town with a payment provider, its callbacks as the provider signs them.

use aquabills::actions::Context;
use aquabills::actions::checkout::{Payer, Wish, begin};
use aquabills::actions::inbox::settle;
use aquabills::actions::sign_in::Attempt;
use aquabills::actions::stop::Stop;
use aquabills::config::{ProviderSettings, Secret};
use aquabills::providers;
use diesel::RunQueryDsl;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::Town;

pub const SECRET: &str = "whsec_watching";
pub const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub const PARENT: &str = "00f067aa0ba902b7";

/// A town with two accounts and a provider that cannot be called: everything here comes as callbacks.
pub fn stage(town: Town) -> Town {
    let mut town = town;
    town.tariff(crate::support::TARIFF).expect("the tariff is accepted");
    let services = "customer_id,service_id,rate_class,meter_id,register_digits,name,email\n\
                    A1,S1,HOME,M1,4,Ada Lovelace,ada@example.org\nB1,S2,HOME,M2,4,Bob Babbage,bob@example.org\n";
    assert_eq!(town.services(services).expect("the services are read").refused, 0);
    let provider = ProviderSettings {
        merchant: "acct_story".to_owned(),
        base_url: "http://127.0.0.1:9".to_owned(),
        secret_key: Some(Secret::new("sk_test_story")),
        webhook_secrets: vec![Secret::new(SECRET)],
        ..ProviderSettings::default()
    };
    town.configure(|config| {
        config.providers = vec![provider];
        config.mail.staff = vec!["desk@utility.example".to_owned(), "night@utility.example".to_owned()];
    });
    town.context.providers = providers::open(&town.context.config.providers);
    town
}

/// The header that the provider sends with a body.
pub fn signature(context: &Context, body: &str) -> String {
    let at = context.now().and_utc().timestamp();
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key").chain_update(format!("{at}.{body}"));
    format!("t={at},v1={}", data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes()))
}

/// An attempt to pay for an account; its token comes back in events.
pub fn attempt(context: &Context, account: &str, amount: &str, key: char) -> String {
    let parts = vec![(account.to_owned(), amount.parse().expect("an amount"))];
    let wish = Wish { form_key: key.to_string().repeat(43), parts, payer: Payer::Guest };
    match begin(context, &wish).expect("the attempt is begun") {
        Attempt::Accepted(token) => token,
        Attempt::Wrong | Attempt::Blocked { .. } => panic!("the attempt is not taken"),
    }
}

/// An event of a card payment that succeeded.
pub fn paid(context: &Context, event: &str, reference: &str, token: &str, cents: i64) -> String {
    let at = context.now().and_utc().timestamp();
    let object = json!({
        "id": reference, "object": "payment_intent", "amount": cents, "amount_received": cents, "currency": "usd", "status": "succeeded",
        "created": at, "metadata": { "token": token }, "payment_method_types": ["card"],
        "shipping": { "name": "Zaphod <b>Markbearer</b>", "address": { "line1": "42 Secretmark Street" } },
        "receipt_email": "zaphod.mark@private.example",
    });
    event_of(event, "payment_intent.succeeded", at, &object)
}

pub fn event_of(event: &str, kind: &str, at: i64, object: &Value) -> String {
    json!({ "id": event, "object": "event", "type": kind, "created": at, "data": { "object": object } }).to_string()
}

/// Applies what waits.
pub fn apply(context: &Context) {
    settle(context, true, &Stop::default()).expect("the inbox is settled");
}

/// Runs a statement.
pub fn sql(context: &Context, statement: &str) -> usize {
    let done: Result<usize, aquabills::actions::ActionError> = context.database.write(|conn| Ok(diesel::sql_query(statement).execute(conn)?));
    done.expect("the statement is right")
}

/// Moves the clock.
pub fn wait(context: &Context, seconds: i64) {
    context.clock.set(context.now().and_utc() + chrono::TimeDelta::seconds(seconds));
}
