//! What a contact owes, has paid or was paid back.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Wrong, found_by, line, optional, within};

/// Characters of what a payment is for, and of the number it is known by elsewhere.
const LONGEST_ABOUT: usize = 500;
const LONGEST_REFERENCE: usize = 100;
/// Minor units of the largest amount: every program can count as far without loss (RFC 8259, section 6).
const LARGEST_AMOUNT: i64 = 1_000_000_000_000_000;

/// Currencies in use (ISO 4217), by how many decimals their amounts have. The rial has none here: ISO gives it two, and nobody
/// has counted in hundredths of it for decades.
const CODES: [(u8, &str); 3] = [
    (0, "BIF CLP DJF GNF IRR ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
    (
        2,
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC \
         CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR JMD KES \
         KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK \
         NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB \
         TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW ZWG",
    ),
];
/// What the rial is called besides its code, and ten of it, which people in Iran count in, in one spelling.
const RIAL: [&str; 3] = ["rial", "rials", "ریال"];
const TOMAN: [&str; 5] = ["toman", "tomans", "irt", "تومان", "تومن"];

/// A currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency {
    code: &'static str,
    decimals: u8,
}

impl Currency {
    /// Its code of three letters (ISO 4217).
    #[must_use]
    pub fn code(self) -> &'static str {
        self.code
    }

    /// How many minor units one is.
    fn units(self) -> i64 {
        10_i64.pow(u32::from(self.decimals))
    }
}

impl FromStr for Currency {
    type Err = Wrong;
    fn from_str(text: &str) -> Result<Self, Wrong> {
        let code = text.trim().to_ascii_uppercase();
        let mut known = CODES
            .into_iter()
            .flat_map(|(decimals, codes)| codes.split_whitespace().map(move |code| Self { code, decimals }));
        known.find(|one| one.code == code).ok_or_else(|| Wrong::Currency(line(text)))
    }
}

/// An amount of money, of which there is some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Amount {
    minor: i64,
    currency: Currency,
}

impl Amount {
    /// So many minor units: cents, or whole rials.
    ///
    /// # Errors
    /// [`Wrong::Amount`] where that is nothing, or more than is kept.
    pub fn of(minor: i64, currency: Currency) -> Result<Self, Wrong> {
        match minor {
            1..=LARGEST_AMOUNT => Ok(Self { minor, currency }),
            _ => Err(Wrong::Amount(minor.to_string())),
        }
    }

    /// What people write, in digits of either script, with thousands parted or not (`1,250.50`, `۲۵۰٬۰۰۰`), of a currency, which
    /// is named by its code or, in Iran, as they say it: tomans are ten rials, and kept as these.
    ///
    /// # Errors
    /// [`Wrong::Amount`], [`Wrong::Currency`].
    pub fn parse(amount: &str, currency: &str) -> Result<Self, Wrong> {
        let name = sotto_text::fold(currency.trim());
        let is_toman = TOMAN.contains(&name.as_str());
        let currency = if is_toman || RIAL.contains(&name.as_str()) {
            "IRR".parse::<Currency>()?
        } else {
            currency.parse::<Currency>()?
        };
        let units = if is_toman { 10 } else { currency.units() };
        let wrong = || Wrong::Amount(line(amount));
        let minor = minor_units(&sotto_text::fold(amount.trim()), units).ok_or_else(wrong)?;
        Self::of(minor, currency).map_err(|_| wrong())
    }

    /// In minor units: cents, or whole rials.
    #[must_use]
    pub fn minor(self) -> i64 {
        self.minor
    }

    /// Of what.
    #[must_use]
    pub fn currency(self) -> Currency {
        self.currency
    }
}

impl fmt::Display for Amount {
    /// As programs read it: `1250.50`, without the currency.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (units, decimals) = (self.currency.units(), usize::from(self.currency.decimals));
        write!(f, "{}", self.minor / units)?;
        if decimals > 0 {
            write!(f, ".{:0decimals$}", self.minor % units)?;
        }
        Ok(())
    }
}

/// What a decimal is, of which one is so many units, a power of ten: nothing where it is none, or has a part that is less than one
/// unit.
fn minor_units(text: &str, units: i64) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let mut digits = first.to_owned();
    for group in groups {
        if group.len() != 3 || first.is_empty() || first.len() > 3 {
            return None;
        }
        digits.push_str(group);
    }
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if digits.is_empty()
        || !is_number(&digits)
        || !is_number(part)
        || (part.is_empty() && text.ends_with('.'))
    {
        return None;
    }
    let (mut minor, mut units) = (digits.parse::<i64>().ok()?.checked_mul(units)?, units);
    for digit in part.bytes().map(|byte| i64::from(byte - b'0')) {
        units /= 10;
        if units == 0 && digit != 0 {
            return None;
        }
        minor = minor.checked_add(digit * units)?;
    }
    Some(minor)
}

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// They are to pay it.
    Due,
    /// They have paid it.
    Paid,
    /// They have paid it, and got it back.
    Refunded,
    /// They do not have to pay it.
    Cancelled,
}

impl PaymentState {
    /// Whether a person may put a payment into another state: only what was paid is paid back, and what was paid is not called
    /// off. Each step may be taken back.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Due => next != Self::Refunded,
            Self::Paid => next != Self::Cancelled,
            Self::Refunded => matches!(next, Self::Refunded | Self::Paid),
            Self::Cancelled => matches!(next, Self::Cancelled | Self::Due),
        }
    }

    /// Whether money came.
    #[must_use]
    pub fn was_paid(self) -> bool {
        matches!(self, Self::Paid | Self::Refunded)
    }
}

/// Something that a contact pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Where it stands.
    pub state: PaymentState,
    /// How much it is.
    pub amount: Amount,
    /// What it is for.
    pub about: String,
    /// What it is known by elsewhere: a bank's or an invoice's number. No two payments have the same.
    pub reference: Option<String>,
    /// When it is to be paid, in milliseconds since 1970 (UTC).
    pub due_at_unix_ms: Option<u64>,
    /// When it was paid, in milliseconds since 1970 (UTC): where it was, and nowhere else.
    pub paid_at_unix_ms: Option<u64>,
}

impl Payment {
    /// The payment as it is kept.
    ///
    /// # Errors
    /// [`Wrong`], which says what cannot be kept.
    pub fn checked(&self) -> Result<Self, Wrong> {
        let about = line(&self.about);
        within("about", &about, LONGEST_ABOUT)?;
        let reference = optional("reference", self.reference.as_deref(), LONGEST_REFERENCE)?;
        if self.state.was_paid() && self.paid_at_unix_ms.is_none() {
            return Err(Wrong::Empty("paid"));
        }
        let paid_at_unix_ms = self.paid_at_unix_ms.filter(|_| self.state.was_paid());
        Ok(Self { about, reference, paid_at_unix_ms, ..self.clone() })
    }

    /// By when it stands in a list: when it was paid, else when it is due, else when it was written down, in milliseconds since
    /// 1970 (UTC).
    #[must_use]
    pub fn at(&self, made_at_unix_ms: u64) -> u64 {
        self.paid_at_unix_ms.or(self.due_at_unix_ms).unwrap_or(made_at_unix_ms)
    }

    /// What the payment is found by, in one spelling: see [`crate::terms`].
    #[must_use]
    pub fn words(&self) -> String {
        found_by([self.about.as_str()].into_iter().chain(self.reference.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kept(amount: &str, currency: &str) -> Result<(String, &'static str), Wrong> {
        Amount::parse(amount, currency).map(|amount| (amount.to_string(), amount.currency().code()))
    }

    #[test]
    fn amounts_are_read_as_people_write_them() {
        for (amount, currency, minor, text) in [
            ("1,250.50", "eur", 125_050, "1250.50"),
            ("1250.5", " USD ", 125_050, "1250.50"),
            ("0.05", "GBP", 5, "0.05"),
            ("۲۵۰٬۰۰۰", "تومان", 2_500_000, "2500000"),
            ("250000.0", "Toman", 2_500_000, "2500000"),
            ("۱۲٫۵", "تومان", 125, "125"),
            ("1000", "ریال", 1_000, "1000"),
            ("1.250", "KWD", 1_250, "1.250"),
            ("7", "JPY", 7, "7"),
        ] {
            let read = Amount::parse(amount, currency).unwrap();
            assert_eq!((read.minor(), read.to_string().as_str()), (minor, text), "{amount} {currency}");
        }
        assert_eq!(kept("5", "ريال"), Ok(("5".to_owned(), "IRR")));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for (amount, currency) in [
            ("", "EUR"),
            ("0", "EUR"),
            ("-5", "EUR"),
            ("1e3", "EUR"),
            ("1.", "EUR"),
            (".5", "EUR"),
            ("1,5", "EUR"),
            (",500", "EUR"),
            ("1000,500", "EUR"),
            ("1.2.3", "EUR"),
            ("1.005", "EUR"),
            ("1.5", "IRR"),
            ("1.55", "toman"),
            ("10000000000001", "EUR"),
            ("99999999999999999999", "IRR"),
        ] {
            assert_eq!(kept(amount, currency), Err(Wrong::Amount(amount.to_owned())), "{amount} {currency}");
        }
        for currency in ["", "EU", "EURO", "XXX", "BTC"] {
            assert_eq!(kept("1", currency), Err(Wrong::Currency(currency.to_owned())));
        }
    }

    #[test]
    fn a_code_is_there_once() {
        let mut codes: Vec<&str> = CODES.iter().flat_map(|(_, codes)| codes.split_whitespace()).collect();
        let all = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all);
        assert!(codes.iter().all(|code| code.len() == 3));
    }

    #[test]
    fn only_what_was_paid_is_paid_back() {
        use PaymentState::{Cancelled, Due, Paid, Refunded};
        let all = [Due, Paid, Refunded, Cancelled];
        let may = |state: PaymentState| all.map(|next| state.may_become(next));
        assert_eq!(may(Due), [true, true, false, true]);
        assert_eq!(may(Paid), [true, true, true, false]);
        assert_eq!(may(Refunded), [false, true, true, false]);
        assert_eq!(may(Cancelled), [true, false, false, true]);
    }

    #[test]
    fn what_is_kept_of_a_payment_is_tidy() {
        let payment = Payment {
            state: PaymentState::Paid,
            amount: Amount::parse("5", "EUR").unwrap(),
            about: " Evening\ncourse ".to_owned(),
            reference: Some(" ".to_owned()),
            due_at_unix_ms: Some(1_000),
            paid_at_unix_ms: Some(2_000),
        };
        let kept = payment.checked().unwrap();
        assert_eq!((kept.about.as_str(), kept.reference.as_deref()), ("Evening course", None));
        assert_eq!((kept.paid_at_unix_ms, kept.at(9)), (Some(2_000), 2_000));
        let due = Payment { state: PaymentState::Due, ..payment.clone() }.checked().unwrap();
        assert_eq!((due.paid_at_unix_ms, due.at(9)), (None, 1_000), "it was not paid");
        assert_eq!(Payment { due_at_unix_ms: None, ..due }.at(9), 9);
        let when = Payment { paid_at_unix_ms: None, ..payment.clone() };
        assert_eq!(when.checked(), Err(Wrong::Empty("paid")));
        let long = Payment { reference: Some("x".repeat(101)), ..payment };
        assert_eq!(long.checked(), Err(Wrong::TooMuch("reference", 100)));
    }

    proptest! {
        #[test]
        fn an_amount_is_read_as_it_is_written(minor in 1..=LARGEST_AMOUNT, code in prop::sample::select(vec!["EUR", "IRR", "KWD"])) {
            let amount = Amount::of(minor, code.parse().unwrap()).unwrap();
            prop_assert_eq!(Amount::parse(&amount.to_string(), code), Ok(amount));
        }

        #[test]
        fn whatever_is_written_gets_an_answer(amount in "[-0-9.,۰-۹٬٫]{0,24}|\\PC{0,12}", currency in "(EUR|IRR|toman|\\PC{0,4})") {
            let _ = Amount::parse(&amount, &currency);
        }
    }
}
