//! What numbers say about themselves: check digits, and which lengths their beginnings allow. All take ASCII
//! digits.

/// ISO/IEC 7812-1 annex B (Luhn): from the right, every second digit doubled, the digits of all of them
/// summed.
pub(super) fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(n, byte)| {
            let digit = u32::from(byte - b'0') << (n % 2);
            digit / 10 + digit % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

/// True when payment cards begin and are as long as this (issuer ranges of ISO/IEC 7812-1, as the schemes
/// publish them), 13 to 19 digits. Iranian cards are among the sixteen-digit ones.
pub(super) fn is_card_shape(digits: &str) -> bool {
    let length = digits.len();
    let first = |count: usize| digits.get(..count).and_then(|d| d.parse::<u32>().ok()).unwrap_or(0);
    if !(13..=19).contains(&length) {
        return false;
    }
    match (first(1), first(2), first(4)) {
        (4, ..) => matches!(length, 13 | 16 | 19),
        (_, 34 | 37, _) => length == 15,
        (_, 36 | 38 | 39, _) | (_, _, 3000..=3059 | 3095) => length >= 14,
        (_, _, 3528..=3589) => length >= 16,
        (_, 51..=55, _) | (_, _, 2221..=2720) => length == 16,
        (_, _, 2200..=2204) | (5 | 6, ..) => length >= 16,
        // What national schemes may use; Iran and Turkey do.
        (9, ..) => length == 16,
        _ => false,
    }
}

/// True for the beginning of a card number, as long as it is too short to be told from others.
pub(super) fn may_begin_card(digits: &str) -> bool {
    // Nine begins mobile numbers without their zero far more often than cards; one Iranian bank has it.
    matches!(digits.as_bytes(), [b'2'..=b'6', ..] | [b'9', b'9', ..])
}

pub(super) fn is_card(digits: &str) -> bool {
    is_card_shape(digits) && luhn(digits)
}

/// First six digits of cards of Iranian banks (Shetab).
pub(super) fn is_iranian_bank(digits: &str) -> bool {
    const ISSUERS: &[&str] = &[
        "207177", "502229", "502806", "502908", "502910", "502938", "504172", "504706", "505416", "505785",
        "505801", "505809", "581874", "585947", "585983", "589210", "589463", "603769", "603770", "603799",
        "604932", "606256", "606373", "610433", "621986", "622106", "627353", "627381", "627412", "627488",
        "627648", "627760", "627884", "627961", "628023", "628157", "636214", "636795", "636797", "636949",
        "639194", "639217", "639346", "639347", "639370", "639599", "639607", "991975",
    ];
    digits.get(..6).is_some_and(|issuer| ISSUERS.binary_search(&issuer).is_ok())
}

/// ISO 13616-1: country and check digits moved to the end, letters as 10 to 35, the remainder by 97 is 1
/// (ISO/IEC 7064, MOD 97-10). Upper-case letters and digits only.
pub(super) fn is_iban(text: &str) -> bool {
    let Some((head, tail)) = text.split_at_checked(4) else { return false };
    let remainder = tail.chars().chain(head.chars()).try_fold(0u32, |sum, c| {
        let value = c.to_digit(36)?;
        Some((sum * if value < 10 { 10 } else { 100 } + value) % 97)
    });
    remainder == Some(1)
}

/// How long an IBAN of a country is (SWIFT's registry of ISO 13616), for those whose callers are likely.
pub(super) fn iban_length(country: &str) -> Option<usize> {
    Some(match country {
        "no" => 15,
        "be" => 16,
        "dk" | "fi" | "nl" => 18,
        "at" | "lu" => 20,
        "ch" => 21,
        "bh" | "de" | "gb" | "ge" | "ie" => 22,
        "ae" | "iq" | "om" => 23,
        "es" | "pk" | "sa" | "se" => 24,
        "pt" => 25,
        "ir" | "tr" => 26,
        "az" | "cy" | "hu" | "lb" | "pl" => 28,
        "fr" | "gr" | "it" => 27,
        "kw" | "jo" => 30,
        "qa" => 29,
        _ => return None,
    })
}

/// The check digit of an Iranian national ID (کد ملی): ten digits weighted 10 to 2, remainder by 11.
pub(super) fn is_national_id(digits: &str) -> bool {
    let bytes = digits.as_bytes();
    let &[first, .., check] = bytes else { return false };
    if bytes.len() != 10 || bytes.iter().all(|byte| *byte == first) {
        return false;
    }
    let sum: u32 =
        bytes[..9].iter().zip((2..=10).rev()).map(|(byte, weight)| u32::from(byte - b'0') * weight).sum();
    let remainder = sum % 11;
    u32::from(check - b'0') == if remainder < 2 { remainder } else { 11 - remainder }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers() {
        // Published test numbers of the schemes, and an invented Iranian one.
        for card in [
            "4242424242424242",
            "5555555555554444",
            "378282246310005",
            "6011111111111117",
            "3530111333300000",
            "30569309025904",
            "6304000000000000",
            "4222222222222",
            "2223003122003222",
            "6037991234567893",
        ] {
            assert!(is_card(card), "{card}");
        }
        for other in ["4242424242424243", "0912345678901", "1234567812345670", "42424242", ""] {
            assert!(!is_card(other), "{other}");
        }
        assert!(is_iranian_bank("6037991234567893") && !is_iranian_bank("4242424242424242"));
    }

    #[test]
    fn account_numbers() {
        assert!(is_iban("IR820540102680020817909002"));
        assert!(is_iban("GB82WEST12345698765432"));
        assert!(!is_iban("GB82WEST12345698765433"));
        assert!(!is_iban("IR82 054"));
        assert!(!is_iban("ا"));
    }

    #[test]
    fn national_ids() {
        assert!(is_national_id("0013542419"));
        assert!(is_national_id("1234567891"));
        assert!(!is_national_id("1234567890"));
        assert!(!is_national_id("1111111111"));
        assert!(!is_national_id(""));
    }
}
