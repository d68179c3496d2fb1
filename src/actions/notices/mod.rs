//! Notices: a transactional outbox.
//!
//! - [`queue()`] and [`queue_many()`] write the notice in the transaction of the event that it tells of: either both are
//!   there after a crash, or neither is. A key names the event, and a second notice with the same key is none.
//! - [`mod@preferences`] is what a person wants to be told; [`mod@list`] the page of what was sent.

pub mod list;
pub mod preferences;
pub mod queue;

pub use list::{NoticeFilter, NoticeView, list};
pub use preferences::{Preference, Preferences, preferences, set_preferences};
pub use queue::{queue, queue_many};
