//! Where the other end is, and whether it may be there.

use std::net::IpAddr;

use axum::http::Uri;

use crate::outside::may_reach;

const NONE: &str = "`url` is no address like https://example.com/hook";

/// An address that was checked.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// As it was given.
    pub url: String,
    /// Its scheme and host alone: the rest may be a secret.
    pub origin: String,
    /// Whether it may be on a network of one's own, and without TLS.
    pub is_private: bool,
    /// Whether it is asked over TLS.
    pub is_tls: bool,
}

impl Address {
    /// # Errors
    /// Why it is none, in words that do not repeat it.
    pub fn parse(url: &str, is_private: bool) -> Result<Self, String> {
        let url = url.trim();
        let uri: Uri = url.parse().map_err(|_| NONE)?;
        let (scheme, authority) = (uri.scheme_str().unwrap_or_default(), uri.authority());
        let authority = authority.filter(|_| matches!(scheme, "http" | "https"));
        let authority = authority.ok_or(NONE)?.as_str();
        if authority.contains('@') || url.contains('#') {
            return Err("`url` has neither a password nor a fragment".to_owned());
        }
        let is_tls = scheme == "https";
        if !is_tls && !is_private {
            return Err(
                "`url` begins with https://, unless `private` says that the network is your own".to_owned()
            );
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        if let Ok(ip) = host.parse::<IpAddr>()
            && !is_private
            && !may_reach(ip, false)
        {
            return Err("`url` has an address that is not public: set `private` if that is meant".to_owned());
        }
        Ok(Self { url: url.to_owned(), origin: format!("{scheme}://{authority}"), is_private, is_tls })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_on_the_internet_is_asked_only_where_that_is_meant() {
        for ip in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:a00:1::",
            "2001:db8::1",
            "2001::1",
        ] {
            let url = if ip.contains(':') { format!("https://[{ip}]/x") } else { format!("https://{ip}/x") };
            assert!(Address::parse(&url, false).is_err(), "{url}");
            assert!(Address::parse(&url, true).is_ok(), "{url}");
        }
    }

    #[test]
    fn addresses_are_checked_and_not_repeated() {
        let good = Address::parse(" https://example.com:8443/hook/secret/ ", false).unwrap();
        assert_eq!((good.url.as_str(), good.is_tls), ("https://example.com:8443/hook/secret/", true));
        assert_eq!(good.origin, "https://example.com:8443");
        for secret in [
            "http://example.com/secret",
            "ftp://example.com/secret",
            "secret",
            "https://a:secret@b",
            "https://a/#secret",
        ] {
            let why = Address::parse(secret, false).err().unwrap();
            assert!(!why.contains("secret"), "{why}");
        }
        assert!(!Address::parse("http://crm.local/api", true).unwrap().is_tls);
    }

    proptest! {
        #[test]
        fn whatever_is_given_gets_an_answer(url in "(https?://)?\\PC{0,40}", is_private: bool) {
            let _ = Address::parse(&url, is_private);
        }
    }
}
