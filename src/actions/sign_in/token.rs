//! Secrets that are given away: tokens of sessions, of links and of forms.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use rand::RngCore;
use sha2::{Digest, Sha256};

/// Random bytes of a token: far too many to guess.
const TOKEN_BYTES: usize = 32;

/// A fresh token, from the operating system's randomness.
#[must_use]
pub fn new_token() -> String {
    let mut bytes = [0_u8; TOKEN_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    BASE64URL_NOPAD.encode(&bytes)
}

/// What the database keeps of a token. A plain hash will do: the token is random, nobody can try them all.
#[must_use]
pub fn token_hash(token: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(token.as_bytes()))
}

/// The hidden token of the forms that belong to a session's token, or to the cookie of a form before there is a session.
///
/// It looks different each time (a random half, and the secret hidden by it): a page that is sent compressed tells by
/// its length nothing of the secret, whatever else somebody makes the page say.
#[must_use]
pub fn csrf_token(token: &str) -> String {
    let secret = Sha256::new().chain_update(b"aquabills form:").chain_update(token.as_bytes()).finalize();
    let mut mask = [0_u8; TOKEN_BYTES];
    rand::rng().fill_bytes(&mut mask);
    let hidden = mask.iter().zip(&secret).map(|(mask, byte)| mask ^ byte);
    BASE64URL_NOPAD.encode(&mask.iter().copied().chain(hidden).collect::<Vec<u8>>())
}

/// Whether two hidden tokens of forms stand for the same secret.
#[must_use]
pub fn same_csrf(one: &str, other: &str) -> bool {
    match (revealed(one), revealed(other)) {
        (Some(one), Some(other)) => same(&one, &other),
        _ => false,
    }
}

fn revealed(token: &str) -> Option<Vec<u8>> {
    let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
    let (mask, hidden) = bytes.split_at_checked(TOKEN_BYTES)?;
    (hidden.len() == TOKEN_BYTES).then(|| mask.iter().zip(hidden).map(|(mask, byte)| mask ^ byte).collect())
}

/// Whether two secrets are the same; the time it takes tells nothing of where they differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_their_hashes_do_not_tell_of_each_other() {
        let (one, other) = (new_token(), new_token());
        assert_ne!(one, other);
        assert_eq!((one.len(), token_hash(&one).len()), (43, 64));
        let form = csrf_token(&one);
        assert_ne!(form, csrf_token(&one), "each page has another");
        assert!(same_csrf(&form, &csrf_token(&one)));
        assert!(!same_csrf(&form, &csrf_token(&other)));
        for bad in ["", "x", &form[1..], &form[..43], &"A".repeat(form.len())] {
            assert!(!same_csrf(bad, &form) && !same_csrf(&form, bad), "{bad}");
        }
    }
}
