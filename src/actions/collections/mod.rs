//! Collections: what becomes of bills that are not paid, or not understood.
//!
//! [`standing`] says what is open of an account and since when; everything else decides by it. [`daily`] looks once a day at every
//! account of which something is open: [`late_fees`], [`dunning`], [`plans`], [`deposits`]. [`disputes`] stop all of it for a bill.
//! [`leak_relief`] and [`write_off`] are credits with rules of their own. Everything is undone by a reversal, never by an edit.

pub mod daily;
pub mod deposits;
pub mod disputes;
pub mod dunning;
pub mod late_fees;
pub mod leak_relief;
pub mod plans;
mod posting;
mod second_person;
pub mod standing;
pub mod view;
pub mod write_off;

pub(super) use posting::RULED_REASONS;
pub use second_person::Taken;
