//! The inbox: what payment providers send is stored before anything is made of it, and applied exactly once.
//!
//! [`store`] takes an event as it came: the signature is checked on the raw bytes, the bytes are committed, and only then is the
//! provider told that we have them. [`settle`] applies what waits. An event is never applied by itself: everything that is known
//! of its payment is read again, told as one story ([`crate::domain::payments::story`]), and the ledger is brought to what that
//! story asks for. So a second delivery, another order, or a crash between any two steps ends in the same ledger (P4, P5).

mod apply;
mod parts;
mod post;
mod recheck;
mod replay;
mod settle;
mod store;

pub use apply::apply_event;
pub(in crate::actions) use parts::give_parts;
pub use recheck::{Rechecks, recheck};
pub use replay::replay_payment;
pub use settle::{Settled, settle, settle_at_pace};
pub use store::{Inbox, ReceiveError, Received, keep_listed, receive};

use crate::domain::payments::{Fact, What};
use crate::providers::PaymentProvider;

/// No payment has more events; one that has is somebody's fault, and a person looks at it.
const MOST_EVENTS: i64 = 2_000;

/// What an event's body says. Whatever has a name there has one of at least a letter: an empty name would make one thing of
/// everything that has none.
fn read(provider: &dyn PaymentProvider, body: &[u8]) -> Result<Fact, String> {
    let fact = provider.read(body)?;
    let thing = match &fact.what {
        What::Checkout { session_ref, .. } => Some(session_ref),
        What::Refund(refund) => Some(&refund.refund_ref),
        What::Dispute(dispute) => Some(&dispute.dispute_ref),
        What::Payment(_) | What::Nothing => None,
    };
    let names = [("the event", Some(&fact.event_id)), ("its payment", fact.payment_ref.as_ref()), ("what it tells of", thing)];
    let nameless = names.into_iter().find(|(_, name)| name.is_some_and(|name| name.trim().is_empty())).map(|(what, _)| what);
    nameless.map_or(Ok(fact), |what| Err(format!("{what} has an empty name: expected the provider's name of it")))
}
