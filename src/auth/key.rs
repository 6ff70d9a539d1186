//! Tokens at rest: sealed with XChaCha20-Poly1305, where there is a key.

use crate::config::SecretRef;
use crate::seams::{Entropy, Files};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// The name of the systemd credential that holds the key, where the schedule names no other.
pub const KEY_NAME: &str = "token-key";

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// How an operator makes a key.
const RECIPE: &str = "make one with `openssl rand -base64 32`";

/// The key under which tokens are sealed. `Debug` shows its id only; there is one copy of it, however often it is cloned.
#[derive(Clone)]
pub struct TokenKey {
    secret: Arc<SecretBox<[u8; KEY_BYTES]>>,
    id: [u8; 8],
}

/// Which token of which account a sealed text is: sealed with it, so that a row cannot be made of parts of others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Label<'a> {
    pub(super) account: &'a str,
    pub(super) generation: u64,
    pub(super) field: &'static str,
}

/// Why a stored token cannot be read. Nothing is lost by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyError {
    /// It is sealed, and no key was given.
    Missing,
    /// It is sealed with another key.
    Other,
    /// It does not open with the key it was sealed with, or is no text.
    Damaged,
}

impl std::fmt::Display for KeyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Missing => {
                "the stored tokens are encrypted, and no key is given: it comes from the systemd credential `token-key` \
                 (LoadCredential=token-key:PATH), or from where `token_key` in the [daemon] table says"
            }
            Self::Other => {
                "the stored tokens are encrypted with another key than the one that is given: give the right one, or log \
                 in again with this one"
            }
            Self::Damaged => {
                "the stored tokens are damaged: restore the token store from a backup, or log in again"
            }
        })
    }
}

impl std::error::Error for KeyError {}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl TokenKey {
    /// The key that `text` is: 32 bytes in base64 or hexadecimal.
    ///
    /// # Errors
    /// When it is anything else; the text is not shown.
    pub fn parse(text: &SecretString) -> Result<Self, String> {
        let text = text.expose_secret().trim();
        let bytes = from_hex(text)
            .or_else(|| {
                [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
                    .iter()
                    .find_map(|code| code.decode(text).ok())
            })
            .and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes).ok());
        let bytes = bytes.ok_or_else(|| {
            format!(
                "the key for the stored tokens is not {KEY_BYTES} bytes in base64 or hexadecimal: {RECIPE}"
            )
        })?;
        let digest = Sha256::new().chain_update(b"convened token key\0").chain_update(bytes).finalize();
        let mut id = [0; 8];
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Ok(Self { secret: Arc::new(SecretBox::new(Box::new(bytes))), id })
    }

    /// The key that `named` names; without a name, that of the credential [`KEY_NAME`] where this process has one.
    ///
    /// # Errors
    /// When a named key cannot be read, or what was read is no key.
    pub fn find(named: Option<&SecretRef>, files: &dyn Files) -> Result<Option<Self>, String> {
        let text = match named {
            Some(named) => named.resolve(files).map_err(|why| format!("`token_key`: {why}"))?,
            None => {
                let implied = SecretRef::Credential(KEY_NAME.to_owned());
                if !implied.is_there() {
                    return Ok(None);
                }
                implied.resolve(files)?
            }
        };
        Self::parse(&text).map(Some)
    }

    /// Tells keys apart; says nothing about them.
    pub(super) fn id(&self) -> [u8; 8] {
        self.id
    }

    /// Seals a token: a nonce of its own, then text and tag.
    pub(super) fn seal(&self, token: &SecretString, label: Label<'_>, entropy: &dyn Entropy) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill(&mut nonce);
        let payload = Payload { msg: token.expose_secret().as_bytes(), aad: &label.bytes() };
        // Fails only for texts of many gigabytes; what is then stored does not open.
        let sealed = self.cipher().encrypt(XNonce::from_slice(&nonce), payload).unwrap_or_default();
        [nonce.as_slice(), &sealed].concat()
    }

    /// Opens what [`TokenKey::seal`] made.
    pub(super) fn open(&self, sealed: &[u8], label: Label<'_>) -> Result<SecretString, KeyError> {
        let (nonce, text) = sealed.split_at_checked(NONCE_BYTES).ok_or(KeyError::Damaged)?;
        let payload = Payload { msg: text, aad: &label.bytes() };
        let text =
            self.cipher().decrypt(XNonce::from_slice(nonce), payload).map_err(|_| KeyError::Damaged)?;
        String::from_utf8(text).map(SecretString::from).map_err(|_| KeyError::Damaged)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.secret.expose_secret().into())
    }
}

impl Label<'_> {
    /// No two labels have the same bytes: names hold no zero.
    fn bytes(&self) -> Vec<u8> {
        format!("convened token\0{}\0{}\0{}", self.account, self.generation, self.field).into_bytes()
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 2 * KEY_BYTES || !text.is_ascii() {
        return None;
    }
    (0..KEY_BYTES).map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seams::SystemEntropy;

    const LABEL: Label<'static> = Label { account: "acme", generation: 7, field: "refresh" };

    fn key(text: &str) -> Result<TokenKey, String> {
        TokenKey::parse(&SecretString::from(text))
    }

    #[test]
    fn a_key_is_32_bytes_in_base64_or_hexadecimal() {
        let hex = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
        let base64 = "ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=";
        let ids = [hex, base64, base64.trim_end_matches('='), &base64.replace('/', "_")];
        let ids = ids.map(|text| key(text).unwrap().id());
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        for wrong in ["", "hunter2", &base64[4..], &hex[2..], "ééééééééééééééééééééééééééééééééé"]
        {
            let told = key(wrong).unwrap_err();
            assert!(told.contains("openssl rand -base64 32") && !told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn what_is_sealed_opens_with_its_own_key_and_label_only() {
        let (one, other) = (key(&"11".repeat(32)).unwrap(), key(&"22".repeat(32)).unwrap());
        let token = SecretString::from("a token");
        let sealed = one.seal(&token, LABEL, &SystemEntropy);
        assert_eq!(one.open(&sealed, LABEL).unwrap().expose_secret(), "a token");
        assert_ne!(sealed, one.seal(&token, LABEL, &SystemEntropy), "a nonce is used once");
        assert_eq!(other.open(&sealed, LABEL).unwrap_err(), KeyError::Damaged);
        for label in [
            Label { account: "acm", ..LABEL },
            Label { generation: 8, ..LABEL },
            Label { field: "access", ..LABEL },
        ] {
            assert_eq!(one.open(&sealed, label).unwrap_err(), KeyError::Damaged, "{label:?}");
        }
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(one.open(&damaged, LABEL).unwrap_err(), KeyError::Damaged, "byte {at}");
        }
        assert_eq!(one.open(&sealed[..10], LABEL).unwrap_err(), KeyError::Damaged);
        assert_eq!(format!("{one:?}"), format!("TokenKey {{ id: {:?}, .. }}", one.id()));
    }
}
