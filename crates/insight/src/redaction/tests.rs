use proptest::prelude::*;
use sotto_call::{Party, testing};

use super::checks::is_card;
use super::*;

/// An utterance whose words take 300 ms each, ten seconds after the one before.
fn utterance(id: u32, party: Party, text: &str) -> Utterance {
    testing::with_words(testing::utterance(id, party, text), 300)
}

/// What is left of turns parted by `|`; an agent's begin with `A:`.
fn redacted(policy: Policy, turns: &str) -> String {
    let mut redactor = Redactor::new(policy);
    let mut texts: Vec<String> = vec![];
    for (id, turn) in (0..).zip(turns.split('|')) {
        let turn = turn.trim();
        let (party, text) = match turn.strip_prefix("A:") {
            Some(text) => (Party::Agent, text.trim()),
            None => (Party::Customer, turn),
        };
        texts.push(String::new());
        for now in redactor.push(&utterance(id, party, text)) {
            let prefix = if now.utterance.party == Party::Agent { "A: " } else { "" };
            texts[now.utterance.utterance_id.0 as usize] = format!("{prefix}{}", now.utterance.text);
        }
    }
    texts.join(" | ")
}

#[test]
fn digits_that_may_be_half_of_a_secret_are_told_from_amounts_dates_and_times() {
    for text in [
        "It is 4242 4242",
        "4242 it is",
        "four two, uh, four two",
        "forty two, forty two",
        "شماره‌اش ۴۲۴۲ ۴۲۴۲ است",
        "چهار دو چهار دو",
    ] {
        assert!(has_long_number(text), "{text}");
    }
    for text in [
        "I want my money back.",
        "I paid 2500 dollars for 3 months.",
        "It was on 12/05/2026 at 10:30.",
        "Two of us, for 3 days, and 12 lessons.",
        "۲۵۰ هزار تومان پرداخت کردم",
    ] {
        assert!(!has_long_number(text), "{text}");
    }
}

fn check(cases: &[(&str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(said, left)| {
            let now = redacted(Policy::default(), said);
            (now != *left).then(|| format!("said {said}\nwant {left}\nhave {now}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
}

/// Everything stays.
fn check_kept(cases: &[&str]) {
    check(&cases.iter().map(|said| (*said, *said)).collect::<Vec<_>>());
}

#[test]
fn english_cards() {
    check(&[
        ("My card number is 4242 4242 4242 4242.", "My card number is ••••."),
        ("It's 4242-4242-4242-4242, thanks.", "It's ••••, thanks."),
        ("4242424242424242", "••••"),
        ("3782 822463 10005", "••••"),
        ("four two four two four two four two four two four two four two four two", "••••"),
        ("forty-two forty-two, forty-two forty-two, forty-two forty-two, forty-two forty-two", "••••"),
        ("quadruple five, quadruple five, quadruple five, double four double four", "••••"),
        ("42 42 uh 42 42 um 42 42 and then 42 42", "••••"),
        ("6037, 9912, 3456, 7893. That's it", "••••. That's it"),
        ("the long number is 4242 4242, let me see, 4242 4242", "the long number is ••••, let me see, ••••"),
        // A digit was misheard.
        ("My card number is 4242 4242 4242 4243.", "My card number is ••••."),
        ("I'll pay by card 4242 4242 4242 4244", "I'll pay by card ••••"),
        // Over several turns, and back.
        ("4242 4242 | 4242 4242", "•••• | ••••"),
        (
            "4242 | A: yes | 4242 | A: okay | 4242 | A: mm-hm | 4242",
            "•••• | A: yes | •••• | A: okay | •••• | A: mm-hm | ••••",
        ),
        (
            "A: What is the card number? | 4242 4242 | A: Go on. | 4242 4240",
            "A: What is the card number? | •••• | A: Go on. | ••••",
        ),
        ("A: So that is 4242 4242 4242 4242? | Yes", "A: So that is ••••? | Yes"),
        // What comes behind it is more of the card.
        ("4242 4242 4242 4242 12 27 123", "•••• ••••"),
        (
            "Card number 4242 4242 4242 4242, CVV 123, expires 12/27.",
            "Card number ••••, CVV ••••, expires ••••.",
        ),
        // Said with a telephone number.
        ("0912 345 6789, 4242 4242 4242 4242", "0912 345 6789, ••••"),
    ]);
}

#[test]
fn english_secrets_beside_cards() {
    check(&[
        (
            "A: And the three digits on the back? | four one two",
            "A: And the three digits on the back? | ••••",
        ),
        ("The security code is 412.", "The security code is ••••."),
        ("CVV2 is 4 1 2", "CVV2 is ••••"),
        ("The card expires in December 2027", "The card expires in •••• ••••"),
        ("My card's expiry date is twelve twenty seven", "My card's expiry date is ••••"),
        ("The code is 482913.", "The code is ••••."),
        (
            "A: What's the code we sent to your phone? | It is four eight two, nine one three",
            "A: What's the code we sent to your phone? | It is ••••",
        ),
        ("My PIN is 4821", "My PIN is ••••"),
        ("The password for my account is 884422.", "The password for my account is ••••."),
        (
            "A: I sent a verification code for your order. | 482913",
            "A: I sent a verification code for your order. | ••••",
        ),
        ("One-time password: 99 12 33", "One-time password: ••••"),
        ("My password is sunshine.", "My password is ••••."),
        ("the password is hunter2 okay", "the password is •••• okay"),
        ("password is capital S u n 9 9", "password is ••••"),
        ("A: And your password? | It's blue42fish", "A: And your password? | It's ••••"),
        ("IR82 0540 1026 8002 0817 9090 02", "••••"),
        ("The IBAN is I R 82 0540 1026 8002 0817 9090 02", "The IBAN is ••••"),
        ("820540102680020817909002", "••••"),
        ("It's GB82 WEST 1234 5698 7654 32, please", "It's ••••, please"),
        ("My national ID is 0013542419", "My national ID is ••••"),
        (
            "A: Your national code, please | zero zero one three five four two four one nine",
            "A: Your national code, please | ••••",
        ),
    ]);
}

#[test]
fn english_kept() {
    check_kept(&[
        "My phone number is 0912 345 6789.",
        "Call me on +98 912 345 6789 or 415 555 0132",
        "zero nine one two three four five six seven eight nine",
        "The order number is 123456789012",
        "Order 4829 was 250,000 tomans",
        "I paid 1,250,000 tomans with my card",
        "two hundred and fifty thousand tomans",
        "It was on 12/05/2026 at 10:30",
        "My password is not working",
        "The password is wrong.",
        "I forgot my password",
        "The area code is 0212, the zip code 94105",
        "The discount code is 20261",
        "the code for order 482913",
        "error code 80911",
        "My subscription expires on 12 May 2026",
        "The card ends in 4242",
        "My account number is 123456789",
        "A: Your code? | It was sent 15 minutes ago",
        "We were 20 in 2019, 25 in 2020, and 30 in 2021",
        "In 10 days, 3 people, 250 dollars",
        "The tracking number is 1234 5678 9012",
        "I have 3 cards",
        "The room is 412, third floor",
        "A: What's your phone number? | 912 345 6789",
        "5 4 3 2 1 go",
    ]);
}

#[test]
fn persian_cards() {
    check(&[
        ("شماره کارتم ۶۰۳۷ ۹۹۱۲ ۳۴۵۶ ۷۸۹۳ هست", "شماره کارتم •••• هست"),
        ("شماره کارت من ٦٠٣٧٩٩١٢٣٤٥٦٧٨٩٣", "شماره کارت من ••••"),
        ("۶۰۳۷-۹۹۱۲-۳۴۵۶-۷۸۹۳", "••••"),
        ("شصت سی و هفت نود و نه دوازده سی و چهار پنجاه و شش هفتاد و هشت نود و سه", "••••"),
        (
            "شش هزار و سی و هفت، نه هزار و نهصد و دوازده، سه هزار و چهارصد و پنجاه و شش، هفت هزار و هشتصد و نود و سه",
            "••••",
        ),
        ("شش صفر سه هفت نه نه یک دو سه چهار پنج شش هفت هشت نه سه", "••••"),
        ("شصت‌وسی‌وهفت نودونه دوازده سی‌وچهار پنجاه‌وشش هفتادوهشت نودوسه", "••••"),
        ("شصت سی و هفت بعد نود و نه دوازده بعدش سی و چهار پنجاه و شش اممم هفتاد و هشت نود و سه", "••••"),
        ("شماره کارتتون رو بگید | A: باشه", "شماره کارتتون رو بگید | A: باشه"),
        (
            "A: شماره کارتتون رو بگید | ۶۰۳۷ ۹۹۱۲ | A: خب | ۳۴۵۶ ۷۸۹۳",
            "A: شماره کارتتون رو بگید | •••• | A: خب | ••••",
        ),
        ("۶۰۳۷ ۹۹۱۲ | ۳۴۵۶ ۷۸۹۳ | ممنون", "•••• | •••• | ممنون"),
        (
            "A: شماره کارت؟ | شصت سی و هفت | A: بله | نود و نه هفتاد و پنج",
            "A: شماره کارت؟ | •••• | A: بله | ••••",
        ),
        // Misheard, and of an Iranian bank.
        ("۶۰۳۷ ۹۹۱۲ ۳۴۵۶ ۷۸۹۴", "••••"),
        ("کارت به کارت کنید به ۶۰۳۷۹۹۱۲۳۴۵۶۷۸۹۰", "کارت به کارت کنید به ••••"),
    ]);
}

#[test]
fn persian_secrets_beside_cards() {
    check(&[
        ("سی وی وی دو چهارصد و دوازده", "سی وی وی ••••"),
        ("cvv2 کارت ۴۱۲ هست", "cvv2 کارت •••• هست"),
        ("A: کد پشت کارت چنده؟ | چهار یک دو", "A: کد پشت کارت چنده؟ | ••••"),
        ("تاریخ انقضای کارت ۰۸/۰۵ هست", "تاریخ انقضای کارت •••• هست"),
        ("رمز پویا ۴۸۲۹۱۳", "رمز پویا ••••"),
        ("رمز پویا چهل و هشت بیست و نه سیزده", "رمز پویا ••••"),
        ("رمز دوم من هفت هفت هشت هشت نه", "رمز دوم من ••••"),
        ("A: کدی که براتون پیامک شد رو بگید | ۴۸۲ ۹۱۳", "A: کدی که براتون پیامک شد رو بگید | ••••"),
        ("کد تأیید ۱۲۳۴۵ بود", "کد تأیید •••• بود"),
        ("رمز عبورم ali1234 هست", "رمز عبورم •••• هست"),
        ("کد ملی من ۰۰۱۳۵۴۲۴۱۹", "کد ملی من ••••"),
        ("کد ملیم صفر صفر یک سیصد و پنجاه و چهار دویست و چهل و یک نه", "کد ملیم ••••"),
        ("A: کد ملی؟ | صفر صفر سیزده | پنجاه و چهار بیست و چهار نوزده", "A: کد ملی؟ | •••• | ••••"),
        ("۰۰۱۳۵۴۲۴۱۹", "••••"),
        ("شماره شبا IR820540102680020817909002", "شماره شبا ••••"),
        (
            "شبای من آی آر هشتاد و دو صفر پنج چهار صفر ده بیست و شش هشتاد صفر صفر بیست هشتاد و یک هفتاد و نه صفر نه صفر صفر دو",
            "شبای من ••••",
        ),
        ("شبا ۸۲۰۵۴۰ ۱۰۲۶۸۰ | ۰۲۰۸۱۷ ۹۰۹۰۰۲", "شبا •••• | ••••"),
    ]);
}

#[test]
fn persian_kept() {
    check_kept(&[
        "شماره من صفر نهصد و دوازده سیصد و چهل و پنج شصت و هفت هشتاد و نه",
        "شماره تماسم ۰۹۱۲۳۴۵۶۷۸۹ هست",
        "۰۹۱۲ ۳۴۵ ۶۷ ۸۹",
        "۹۱۲۳۴۵۶۷۸۹",
        "شماره سفارشم ۱۲۳۴۵۶۷۸۹۰ بود",
        "کد پیگیری ۴۸۲۹۱۳۵۵",
        "دویست و پنجاه هزار تومان پرداخت کردم با کارت",
        "یک میلیون و دویست هزار تومان",
        "کد تخفیف ۱۲۳۴۵",
        "کد پستی ۱۲۳۴۵۶۷۸۹۱",
        "فردا ساعت ده و نیم",
        "تاریخ ۱۴۰۵/۰۳/۱۲ ساعت ۱۰:۳۰",
        "رمزم رو فراموش کردم",
        "رمز پویا دو دقیقه اعتبار داره",
        "اشتراکم ۳۰ روزه است و ۱۲ خرداد منقضی می‌شه",
        "چهار رقم آخر کارت ۷۸۹۳ هست",
        "سه نفر هستیم، ۲۵۰ دلار دادیم",
        "نه، ممنون",
        "شماره حسابم ۱۲۳۴۵۶۷۸۹",
        "تلفن ثابتم ۰۲۱ ۸۸۸۸ ۱۲۳۴",
    ]);
}

#[test]
fn the_last_four_digits_of_a_card_may_stay() {
    let keep = Policy { keep_last_four: true, ..Policy::default() };
    for (said, left) in [
        ("card number 4242 4242 4242 4242, CVV 123", "card number •••• 4242, CVV ••••"),
        (
            "شماره کارت شصت سی و هفت نود و نه دوازده سی و چهار پنجاه و شش هفتاد و هشت نود و سه",
            "شماره کارت •••• 7893",
        ),
        ("4242 4242 | 4242 4242", "•••• | •••• 4242"),
    ] {
        assert_eq!(redacted(keep.clone(), said), left);
    }
}

#[test]
fn the_words_of_a_secret_are_one_word_and_muted() {
    let mut redactor = Redactor::default();
    let said = utterance(1, Party::Customer, "my card number is 4242 4242 4242 4242. Thanks");
    let now = redactor.push(&said).remove(0);
    let words: Vec<&str> = now.utterance.words.iter().map(|word| word.w.as_str()).collect();
    assert_eq!(words, ["my", "card", "number", "is", "••••.", "Thanks"]);
    assert_eq!(words.join(" "), now.utterance.text);
    assert_eq!(now.secrets, [Secret::Card]);
    assert_eq!(now.mute, [Millis(11_200 - 200)..Millis(12_400 + 200)]);
    assert_eq!(now.utterance.stable_chars, now.utterance.text.chars().count() as u32);
}

#[test]
fn without_times_the_whole_utterance_is_muted() {
    let mut said = utterance(1, Party::Customer, "4242 4242 4242 4242");
    said.words.clear();
    said.end_ms = Millis(15_000);
    assert_eq!(Redactor::default().push(&said)[0].mute, [Millis(9_800)..Millis(15_200)]);
    said.words = utterance(1, Party::Customer, "other words").words;
    let now = Redactor::default().push(&said).remove(0);
    assert_eq!(now.utterance.words.len(), 1);
    assert_eq!(now.utterance.words[0].w, "••••");
}

#[test]
fn an_earlier_utterance_becomes_a_secret() {
    let mut redactor = Redactor::default();
    let first = redactor.push(&utterance(1, Party::Customer, "4242 4242"));
    assert_eq!(first[0].utterance.text, "4242 4242");
    let then = redactor.push(&utterance(2, Party::Customer, "4242 4242"));
    let texts: Vec<_> =
        then.iter().map(|now| (now.utterance.utterance_id.0, now.utterance.text.as_str())).collect();
    assert_eq!(texts, [(2, "••••"), (1, "••••")]);
    // It is said once.
    assert_eq!(redactor.push(&utterance(3, Party::Agent, "thank you")).len(), 1);
}

#[test]
fn a_revision_is_looked_at_anew() {
    let mut redactor = Redactor::default();
    redactor.push(&utterance(1, Party::Customer, "4242 4242"));
    let mut revised = utterance(2, Party::Customer, "4242 4242");
    redactor.push(&revised);
    revised.text = String::new();
    revised.words.clear();
    revised.revision = 1;
    let now = redactor.push(&revised);
    assert_eq!((now.len(), now[0].utterance.text.as_str()), (1, ""));
    // The first half has been taken out and stays out.
    let again = redactor.push(&utterance(1, Party::Customer, "4242 4242"));
    assert_eq!(again[0].utterance.text, "••••");
}

#[test]
fn partials_are_redacted_as_they_grow() {
    let mut redactor = Redactor::default();
    for (said, left) in [
        ("my card number is 4242", "my card number is 4242"),
        ("my card number is 4242 4242", "my card number is ••••"),
        ("my card number is 4242 4242 4242 4242 thanks", "my card number is •••• thanks"),
    ] {
        let mut partial = utterance(1, Party::Customer, said);
        partial.r#final = false;
        assert_eq!(redactor.push(&partial)[0].utterance.text, left);
    }
}

#[test]
fn a_number_that_may_become_a_secret_is_hidden_while_it_is_spoken() {
    let partial = |id, said| Utterance { r#final: false, ..utterance(id, Party::Customer, said) };
    let mut redactor = Redactor::default();
    for (said, left) in [
        // As much as may be shown of a card.
        ("sure it is 4242 42", "sure it is 4242 42"),
        ("sure it is 4242 424", "sure it is ••••"),
        ("sure it is 4242 4242 42", "sure it is ••••"),
    ] {
        let now = redactor.push(&partial(1, said)).remove(0);
        assert_eq!(now.utterance.text, left);
        assert_eq!((now.secrets.as_slice(), now.mute.as_slice()), (&[][..], &[][..]), "nobody knows yet");
    }
    // What is hidden may be seen again, so it is not stable; the words keep their times.
    let now = redactor.push(&partial(1, "sure it is 4242 4242 42")).remove(0);
    assert_eq!(now.utterance.stable_chars, 11);
    let last = now.utterance.words.last().unwrap();
    assert_eq!((last.w.as_str(), last.start_ms, last.end_ms), ("••••", Millis(10_900), Millis(11_800)));
    // Settled: no card.
    let settled = redactor.push(&utterance(1, Party::Customer, "sure it is 4242 4242 42")).remove(0);
    assert_eq!(settled.utterance.text, "sure it is 4242 4242 42");
    // The next one goes on with it.
    assert_eq!(redactor.push(&partial(2, "4")).remove(0).utterance.text, "••••");
    let whole = redactor.push(&utterance(2, Party::Customer, "424242"));
    let texts: Vec<&str> = whole.iter().map(|now| now.utterance.text.as_str()).collect();
    assert_eq!(texts, ["••••", "sure it is ••••"]);
}

#[test]
fn numbers_that_no_card_begins_with_are_seen_while_they_are_spoken() {
    for said in [
        "my phone number is 415 555 0132",
        "0912 345 67",
        "order number 47 19 26 18",
        "I paid 2 500 000 tomans",
        "شماره تماسم ۰۹۱۲۳۴۵۶",
    ] {
        let partial = Utterance { r#final: false, ..utterance(1, Party::Customer, said) };
        assert_eq!(Redactor::default().push(&partial)[0].utterance.text, said);
    }
}

#[test]
fn only_what_the_policy_names_is_taken_out() {
    let policy = Policy { secrets: [Secret::Password].into(), ..Policy::default() };
    let said = "card number 4242 4242 4242 4242 | my PIN is 4821";
    assert_eq!(redacted(policy.clone(), said), "card number 4242 4242 4242 4242 | my PIN is ••••");
    let partial = Utterance { r#final: false, ..utterance(1, Party::Customer, "4242 4242 4242") };
    assert_eq!(Redactor::new(policy).push(&partial)[0].utterance.text, "4242 4242 4242");
}

#[test]
fn a_long_call_is_listened_to_in_a_window() {
    let mut redactor = Redactor::default();
    for id in 0..200 {
        assert_eq!(redactor.push(&utterance(id, Party::Customer, "so 4242 then words")).len(), 1);
    }
    assert_eq!(redactor.heard.len(), KEPT);
}

/// What calls are made of, and what is made to break a reader.
fn speech() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        proptest::sample::select(vec![
            "card number",
            "cvv",
            "cvv2",
            "code is",
            "password is",
            "expires",
            "iban",
            "IR",
            "order",
            "phone",
            "0",
            "12",
            "4242",
            "4242424242424242",
            "four",
            "two",
            "forty two",
            "hundred",
            "thousand",
            "double",
            "oh",
            "and",
            "a",
            "half",
            "million",
            "شماره کارت",
            "رمز",
            "کد ملی",
            "شبا",
            "سی وی وی",
            "سی",
            "و",
            "هفت",
            "نه",
            "هزار",
            "صد",
            "تا",
            "دو تا صفر",
            "۴۲",
            "تومان",
            ",",
            ".",
            "-",
            "/",
            ":",
            "••••",
            "\u{200c}",
            "\u{301}",
            "a1b2",
            "may",
            "تیر",
            "12/27",
            "10:30",
            "820540102680020817909002",
            "0013542419",
        ])
        .prop_map(str::to_owned),
        "[0-9۰-۹]{1,20}",
        any::<String>(),
    ];
    proptest::collection::vec((part, proptest::sample::select(vec![" ", "", " ", "\n"])), 0..24)
        .prop_map(|parts| parts.into_iter().flat_map(|(part, space)| [part, space.to_owned()]).collect())
}

/// A number with a valid check digit, in one of the groupings of people and recognisers.
fn card() -> impl Strategy<Value = (String, String)> {
    let prefix = proptest::sample::select(vec!["4", "51", "6037", "6219"]);
    let separator = proptest::sample::select(vec!["", " ", "-", ", ", ". ", " - "]);
    (prefix, "[0-9]{15}", separator, 1usize..6, any::<bool>()).prop_map(
        |(prefix, digits, separator, group, persian)| {
            let mut number: String = prefix.chars().chain(digits.chars()).take(15).collect();
            let check = ('0'..='9').find(|check| is_card(&format!("{number}{check}")));
            number.extend(check);
            let groups: Vec<String> =
                number.as_bytes().chunks(group).map(|g| String::from_utf8_lossy(g).into()).collect();
            let written = groups.join(separator);
            let in_persian = |c: char| c.to_digit(10).and_then(|d| char::from_u32(0x6f0 + d)).unwrap_or(c);
            (number, if persian { written.chars().map(in_persian).collect() } else { written })
        },
    )
}

fn ascii_digits(text: &str) -> String {
    crate::spoken::fold(text).chars().filter(char::is_ascii_digit).collect()
}

proptest! {
    #[test]
    fn any_call_is_redacted_once_and_for_all(turns in proptest::collection::vec((speech(), any::<bool>()), 1..5)) {
        let mut redactor = Redactor::default();
        let mut texts = vec![String::new(); turns.len()];
        let party = |agent: bool| if agent { Party::Agent } else { Party::Customer };
        for (n, (text, agent)) in turns.iter().enumerate() {
            let said = utterance(n as u32, party(*agent), text);
            for now in redactor.push(&said) {
                let at = now.utterance.utterance_id.0 as usize;
                prop_assert!(now.utterance.stable_chars as usize <= now.utterance.text.chars().count());
                prop_assert!(now.mute.windows(2).all(|pair| pair[0].end < pair[1].start));
                prop_assert_eq!(now.secrets.is_empty(), now.mute.is_empty());
                texts[at] = now.utterance.text;
            }
        }
        let mut again = Redactor::default();
        for (n, (text, (_, agent))) in texts.iter().zip(&turns).enumerate() {
            for now in again.push(&utterance(n as u32, party(*agent), text)) {
                prop_assert_eq!(&now.utterance.text, &texts[now.utterance.utterance_id.0 as usize]);
            }
        }
    }

    #[test]
    fn no_card_number_is_left((number, written) in card(), before in "[a-z ,.]{0,20}", after in "[a-z ,.]{0,20}") {
        let mut redactor = Redactor::default();
        let now = redactor.push(&utterance(1, Party::Customer, &format!("{before} {written} {after}"))).remove(0);
        prop_assert!(!ascii_digits(&now.utterance.text).contains(&number), "{}", now.utterance.text);
    }

    #[test]
    fn no_more_than_six_digits_of_a_card_are_seen_while_it_is_spoken((number, written) in card()) {
        let mut redactor = Redactor::default();
        let chars: Vec<char> = written.chars().collect();
        for spoken in 1..=chars.len() {
            let said: String = chars[..spoken].iter().collect();
            let partial = Utterance { r#final: false, ..utterance(1, Party::Customer, &said) };
            let now = redactor.push(&partial).remove(0);
            let seen = ascii_digits(&now.utterance.text);
            prop_assert!(seen.len() <= 6, "{} of {number}", now.utterance.text);
            prop_assert!(now.utterance.stable_chars as usize <= now.utterance.text.chars().count());
        }
    }

    #[test]
    fn no_card_number_is_left_over_two_turns((number, written) in card(), cut in 0.0..1.0f64) {
        let chars: Vec<char> = written.chars().collect();
        let (a, b) = chars.split_at((cut * chars.len() as f64) as usize);
        let mut redactor = Redactor::default();
        let mut texts = [String::new(), String::new()];
        for (id, turn) in (0..).zip([a, b]) {
            for now in redactor.push(&utterance(id, Party::Customer, &turn.iter().collect::<String>())) {
                texts[now.utterance.utterance_id.0 as usize] = now.utterance.text;
            }
        }
        prop_assert!(!ascii_digits(&texts.concat()).contains(&number), "{:?}", texts);
    }
}
