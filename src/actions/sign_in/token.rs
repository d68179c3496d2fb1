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
#[must_use]
pub fn csrf_token(token: &str) -> String {
    let hash = Sha256::new().chain_update(b"aquabills form:").chain_update(token.as_bytes()).finalize();
    BASE64URL_NOPAD.encode(&hash)
}

/// Whether two secrets are the same; the time it takes tells nothing of where they differ.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_their_hashes_do_not_tell_of_each_other() {
        let (one, other) = (new_token(), new_token());
        assert_ne!(one, other);
        assert_eq!((one.len(), token_hash(&one).len(), csrf_token(&one).len()), (43, 64, 43));
        assert_ne!(token_hash(&one), csrf_token(&one));
        assert!(same(&one, &one) && !same(&one, &other) && !same(&one, "") && !same("a", "ab"));
    }
}
