//! Signing in: one file per verb. Passwords, sessions, second factors, mailed links, and the people of the utility.
//!
//! A token (of a session, of a link) is known to its holder only: the database keeps a hash of it. What is guessed at
//! is counted in the database before it is checked, so that several servers and many guesses at once make no difference.

mod looked_at;
mod session;
mod token;

pub use looked_at::looked_at;
pub use session::{SignedIn, Stage, current_session};
pub use token::{csrf_token, new_token, same, token_hash};
