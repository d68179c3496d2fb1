//! A provider's event may be anything; what is understood of it names itself.
#![no_main]

use aquabills::config::{ProviderSettings, Secret};
use aquabills::providers::{Glimpse, ProviderBook, open};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static BOOK: LazyLock<ProviderBook> = LazyLock::new(|| {
    let settings = ProviderSettings {
        merchant: "acct_fuzz".to_owned(),
        secret_key: Some(Secret::new("sk_fuzz")),
        webhook_secrets: vec![Secret::new("whsec_fuzz")],
        ..ProviderSettings::default()
    };
    open(&[settings])
});

fuzz_target!(|bytes: &[u8]| {
    let provider = BOOK.by_name("stripe").expect("it is in the book");
    let seen = provider.glimpse(bytes);
    if let Ok(fact) = provider.read(bytes) {
        assert!(!fact.event_id.is_empty() && !fact.event_type.is_empty());
        let told = Glimpse::of(fact);
        // Who only glimpses it may see less, and nothing else.
        assert!(seen.event_id.is_none() || seen.event_id == told.event_id);
        assert!(seen.event_type.is_none() || seen.event_type == told.event_type);
    }
});
