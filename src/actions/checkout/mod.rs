//! Paying online: a customer or a guest begins a checkout, pays at the provider's own page, and comes back to learn what is
//! known of it.
//!
//! What belongs here: beginning an attempt and telling where it stands. What does not: anything that moves a balance; that
//! follows from the provider's events alone (`inbox`), so that a page that was opened, closed or reloaded moves nothing.

mod begin;
mod guest;
mod payable;
mod standing;

pub use begin::{Payer, Wish, begin, retry};
pub use guest::{GuestAccount, begin_as_guest, find_as_guest};
pub(super) use payable::pending;
pub use payable::{MOST_ACCOUNTS, PayableAccount, PendingPayment, payable_accounts};
pub use standing::{Back, PartStanding, Shown, Stage, Standing, standing};
