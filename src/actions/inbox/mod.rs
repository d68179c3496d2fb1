//! The inbox: what payment providers send is stored before anything is made of it, and applied exactly once.
//!
//! [`store`] takes an event as it came: the signature is checked on the raw bytes, the bytes are committed, and only then is the
//! provider told that we have them. [`settle`] applies what waits. An event is never applied by itself: everything that is known
//! of its payment is read again, told as one story ([`crate::domain::payments::story`]), and the ledger is brought to what that
//! story asks for. So a second delivery, another order, or a crash between any two steps ends in the same ledger (P4, P5).

mod apply;
mod post;
mod replay;
mod settle;
mod store;

pub use apply::apply_event;
pub use replay::replay_payment;
pub use settle::{Settled, settle};
pub(super) use store::new_trace_id;
pub use store::{Inbox, ReceiveError, Received, keep_listed, receive};

/// No payment has more events; one that has is somebody's fault, and a person looks at it.
const MOST_EVENTS: i64 = 2_000;
