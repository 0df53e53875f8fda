//! Signatures of webhooks, as the Standard Webhooks specification (1.0.0) has them: HMAC-SHA256 (RFC 2104) over the message's id,
//! the time it is sent at, and its body.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// Bytes of a secret.
const SIZES: std::ops::RangeInclusive<usize> = 24..=64;

/// What proves who has sent a message.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// From how it is written: `whsec_` and base64.
    ///
    /// # Errors
    /// Why it is none, in words that do not repeat it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bytes = text.trim().strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
        let bytes = bytes.filter(|bytes| SIZES.contains(&bytes.len()));
        let wrong = || {
            "`secret` is `whsec_` and 24 to 64 bytes in base64: openssl rand -base64 32 makes some".to_owned()
        };
        bytes.map(Self).ok_or_else(wrong)
    }

    /// The signature of a message that is sent at a time, in seconds since 1970.
    pub fn sign(&self, id: &str, sent_at_unix_s: u64, body: &[u8]) -> String {
        // A key of any length will do.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(format!("{id}.{sent_at_unix_s}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_specifications_example_is_signed_as_it_is_there() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature =
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(!format!("{secret:?}").contains("Mf"));
    }

    #[test]
    fn what_is_no_secret_is_refused_and_not_repeated() {
        let long = format!("whsec_{}", STANDARD.encode([0; 65]));
        for wrong in ["", "hunter2", "whsec_hunter2", "whsec_aHVudGVyMg==", long.as_str()] {
            let why = Secret::parse(wrong).unwrap_err();
            assert!(!why.contains("hunter2") && why.contains("whsec_"), "{why}");
        }
    }

    proptest! {
        #[test]
        fn another_id_time_or_body_has_another_signature(
            id in "[a-z0-9-]{1,36}", at: u32, body: Vec<u8>, other: Vec<u8>,
        ) {
            let secret = Secret(vec![7; 32]);
            let signed = secret.sign(&id, at.into(), &body);
            prop_assert_eq!(&signed, &secret.sign(&id, at.into(), &body));
            prop_assert_ne!(&signed, &secret.sign(&id, u64::from(at) + 1, &body));
            prop_assert_ne!(&signed, &secret.sign(&format!("{id}x"), at.into(), &body));
            if body != other {
                prop_assert_ne!(&signed, &secret.sign(&id, at.into(), &other));
            }
        }
    }
}
