//! Passwords: how they are kept and compared, and the rules for new ones.

use std::num::NonZero;
use std::sync::{Condvar, LazyLock, Mutex, PoisonError};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

use crate::actions::{ActionError, Context};
use crate::domain::passwords::{Surroundings, check_password, normal_form};

/// Memory in KiB, passes and lanes of argon2id, as the OWASP Password Storage Cheat Sheet recommends: 19 MiB, 2, 1.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How many passwords are hashed at once: one for each processor, so that many guesses cost time and not memory.
static TURNS: LazyLock<(Mutex<usize>, Condvar)> =
    LazyLock::new(|| (Mutex::new(std::thread::available_parallelism().map_or(2, NonZero::get)), Condvar::new()));

/// A hash that no password has: what the password is compared with when there is nobody to compare with.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash_password(&super::new_token()).unwrap_or_default());

/// Hashes a password for keeping.
///
/// # Errors
/// [`ActionError::Form`] when the machine has no randomness or memory.
pub(super) fn hash_password(password: &str) -> Result<String, ActionError> {
    let password = normal_form(password);
    let hash = in_turn(|| hasher()?.hash_password(password.as_bytes()).map(|hash| hash.to_string()));
    hash.map_err(|error| ActionError::Form(format!("the password cannot be hashed: {error}")))
}

/// Whether it is the password of this hash. Without a hash the same work is done for nothing: the time tells nobody
/// whether an address is known.
pub(super) fn is_password(password: &str, hash: Option<&str>) -> bool {
    let kept = hash.unwrap_or(&NOBODY);
    let password = normal_form(password);
    let fits = in_turn(|| {
        let parsed = PasswordHash::new(kept).map_err(argon2::password_hash::Error::from)?;
        hasher()?.verify_password(password.as_bytes(), &parsed)
    });
    fits.is_ok() && hash.is_some()
}

/// Refuses a new password that breaks a rule.
///
/// # Errors
/// [`ActionError::Refused`] with the rule.
pub(super) fn check_new(context: &Context, password: &str, email: &str, name: &str) -> Result<(), ActionError> {
    let around = Surroundings {
        shortest: context.config.sign_in.shortest_password,
        utility: context.config.utility_name.clone(),
        email: email.to_owned(),
        name: name.to_owned(),
    };
    check_password(password, &around).map_err(|fault| ActionError::Refused(fault.to_string()))
}

fn hasher() -> Result<Argon2<'static>, argon2::password_hash::Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn in_turn<T>(work: impl FnOnce() -> T) -> T {
    let (free, changed) = &*TURNS;
    let mut turns =
        changed.wait_while(free.lock().unwrap_or_else(PoisonError::into_inner), |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
    *turns -= 1;
    drop(turns);
    let outcome = work();
    *free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    changed.notify_one();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_only() {
        let hash = hash_password("caf\u{e9} at the corner").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, hash_password("caf\u{e9} at the corner").unwrap(), "every hash has its own salt");
        assert!(is_password("cafe\u{301} at the corner", Some(&hash)));
        assert!(!is_password("cafe at the corner", Some(&hash)));
        assert!(!is_password("anything", None));
        assert!(!is_password("anything", Some("no hash")));
    }
}
