//! Signing in: one file per verb. Passwords, sessions, second factors, mailed links, and the people of the utility.
//!
//! A token (of a session, of a link) is known to its holder only: the database keeps a hash of it. What is guessed at
//! is counted in the database before it is checked, so that several servers and many guesses at once make no difference.

mod change_password;
mod enter;
mod events;
mod factor;
mod leave;
mod links;
mod looked_at;
mod password;
mod prove;
mod session;
mod staff;
mod sweep;
mod throttle;
mod token;

pub use change_password::change_password;
pub use enter::{Client, Entered, minutes_until, plain_email, sign_in};
pub use factor::{Proposal, code_at, confirm_factor, drop_factor, give_factor, has_factor, propose_factor};
pub use leave::{SessionView, list_sessions, revoke_session, sign_out, sign_out_everywhere};
pub use links::{LinkOwner, link_owner, request_link, set_password_by_link};
pub use looked_at::looked_at;
pub use prove::{Proven, prove};
use session::is_on_file;
pub use session::{SignedIn, Stage, current_session};
pub use staff::{NewStaff, StaffMember, add_staff, list_staff, reset_factor, send_link, set_staff_disabled};
pub use sweep::sweep;
pub use throttle::Attempt;
pub(super) use throttle::{Subject, accepted, count};
pub use token::{csrf_token, new_token, same_csrf, token_hash};
