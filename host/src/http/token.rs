//! A token, and how a client shows that it knows the token.
//!
//! Never shows the token: not in messages, events or settings.

use crate::clients::{self, SecretError};
use crate::config::Secret;
use crate::env::Env;
use std::fmt;
use std::sync::Arc;

/// A token that is compared and never shown.
#[derive(Clone)]
pub struct Token(Arc<[u8]>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// Reads the token of `subject`, as in source `lines`. White space around it does not belong to it.
    ///
    /// # Errors
    /// If the token cannot be read, or is more than one word.
    pub fn read(env: &Env, subject: &str, secret: &Secret) -> Result<Self, SecretError> {
        Ok(Self(clients::read_secret(env, subject, "token", secret)?.token()?.into()))
    }

    /// Whether the value of a header `Authorization` has the token. How long that takes tells nothing about the token
    /// but its length.
    pub fn is_known(&self, authorization: Option<&[u8]>) -> bool {
        let given = authorization.and_then(|value| value.split_at_checked(b"Bearer ".len()));
        let Some((scheme, given)) = given else { return false };
        let given = given.trim_ascii();
        let differences = given.iter().zip(self.0.iter()).fold(0, |all, (given, own)| all | (given ^ own));
        scheme.eq_ignore_ascii_case(b"Bearer ") && given.len() == self.0.len() && differences == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Simulation;
    use crate::time::Time;

    fn read(content: &str) -> Result<Token, SecretError> {
        let simulation = Simulation::new(0, Time::default());
        simulation.file("/token", content);
        Token::read(&simulation.env(), "source `events`", &Secret::File("/token".into()))
    }

    #[test]
    fn only_the_token_itself_is_known() {
        let token = read(" s3cret\n").unwrap();
        assert!(token.is_known(Some(b"Bearer s3cret")) && token.is_known(Some(b"bearer s3cret ")));
        for wrong in ["Bearer s3cre", "Bearer s3crets", "Bearer S3cret", "Basic s3cret", "s3cret", "Bearer ", ""] {
            assert!(!token.is_known(Some(wrong.as_bytes())), "{wrong}");
        }
        assert!(!token.is_known(None));
        assert_eq!(format!("{token:?}"), "Token");
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_refused_and_not_shown() {
        for bad in ["", " \n", "two words", "a\nb", "pass\u{e9}"] {
            let error = read(bad).unwrap_err().to_string();
            assert_eq!(error, "source `events`: /token holds no token: one word of ASCII letters, digits and signs");
        }
        let simulation = Simulation::new(0, Time::default());
        let unset = Token::read(&simulation.env(), "source `events`", &Secret::Variable("T".into())).unwrap_err();
        assert_eq!(unset.to_string(), "source `events`: the environment variable T is not set");
    }
}
