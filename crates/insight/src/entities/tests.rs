use proptest::prelude::*;
use sotto_call::Millis;
use time::{Date, Month, Time};

use super::*;

/// Sunday, the 29th of November 2026, nine in the morning; the 8th of Azar 1405.
fn now() -> PrimitiveDateTime {
    let date = Date::from_calendar_date(2026, Month::November, 29).unwrap();
    PrimitiveDateTime::new(date, Time::from_hms(9, 0, 0).unwrap())
}

/// What is found, as `kind value`, parted by semicolons.
fn found(text: &str) -> String {
    let found = entities(text, &[], now(), None);
    found.iter().map(|e| format!("{:?} {}", e.kind, e.value).to_lowercase()).collect::<Vec<_>>().join("; ")
}

fn check(cases: &[(&str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(said, want)| {
            let have = found(said);
            (have != want.to_lowercase()).then(|| format!("said {said}\nwant {want}\nhave {have}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
}

#[test]
fn english_telephone_numbers() {
    check(&[
        ("My number is 0912 345 6789.", "phone +989123456789"),
        ("Call me at +98 912 345 6789", "phone +989123456789"),
        ("it's zero nine one two, three four five, six seven eight nine", "phone +989123456789"),
        ("oh nine one two three four five double six seven seven", "phone +989123456677"),
        ("00 44 20 7946 0958", "phone +442079460958"),
        ("plus one 415 555 0132", "phone +14155550132"),
        ("you can reach me at 415-555-0132", "phone 4155550132"),
        ("(415) 555-0132", "phone 4155550132"),
        ("My landline is 021 8888 1234", "phone +982188881234"),
        ("the phone number is four one five, five five five, oh one three two", "phone 4155550132"),
        ("call extension 12", ""),
        ("I have 3 phones", ""),
    ]);
}

#[test]
fn english_addresses() {
    check(&[
        ("My email is sara.k@gmail.com.", "email sara.k@gmail.com"),
        ("sara dot k at gmail dot com", "email sara.k@gmail.com"),
        ("It's Sara underscore Kamali at yahoo dot co dot uk, thanks", "email sara_kamali@yahoo.co.uk"),
        ("s a r a 7 7 at hotmail dot com", "email sara77@hotmail.com"),
        ("ali dash reza at g mail dot com", "email ali-reza@gmail.com"),
        ("info at company dot ir", "email info@company.ir"),
        ("john nineteen ninety at outlook dot com", "email john1990@outlook.com"),
        ("look at this dot", ""),
    ]);
}

#[test]
fn english_money() {
    check(&[
        ("two hundred and fifty thousand tomans", "money 250000 IRT"),
        ("It was $12.50", "money 12.5 USD"),
        ("1,250,000 rials and 20 dollars", "money 1250000 IRR; money 20 USD"),
        ("two and a half million tomans", "money 2500000 IRT"),
        ("five dollars and fifty cents", "money 5.5 USD"),
        ("250k tomans", "money 250000 IRT"),
        ("EUR 99", "money 99 EUR"),
        ("a hundred bucks", "money 100 USD"),
        ("half a million tomans", "money 500000 IRT"),
        ("two hundred and fifty people", ""),
    ]);
}

#[test]
fn english_times() {
    check(&[
        ("tomorrow half past ten", "datetime 2026-11-30T10:30"),
        ("next Tuesday", "datetime 2026-12-01"),
        ("on Friday at 3 pm", "datetime 2026-12-04T15:00"),
        ("at ten thirty tomorrow morning", "datetime 2026-11-30T10:30"),
        ("tonight at eight", "datetime 2026-11-29T20:00"),
        ("the day after tomorrow at 14:15", "datetime 2026-12-01T14:15"),
        ("quarter to five", "datetime T16:45"),
        ("ten past nine in the evening", "datetime T21:10"),
        ("12 May 2026", "datetime 2026-05-12"),
        ("May 12th", "datetime 2027-05-12"),
        ("the twelfth of March, twenty twenty-seven", "datetime 2027-03-12"),
        ("on 2026-12-24 at noon", "datetime 2026-12-24T12:00"),
        ("31/12/2026", "datetime 2026-12-31"),
        ("12/31/2026", "datetime 2026-12-31"),
        ("in two hours", "datetime 2026-11-29T11:00"),
        ("in three days", "datetime 2026-12-02"),
        ("two weeks ago", "datetime 2026-11-15"),
        ("Tuesday next week at nine o'clock", "datetime 2026-12-01T09:00"),
        ("yesterday at 5", "datetime 2026-11-28T17:00"),
        ("15 Khordad 1405", "datetime 2026-06-05"),
        ("at 10.30 a.m.", "datetime T10:30"),
        ("last Friday", "datetime 2026-11-27"),
        ("it takes two hours", ""),
        ("How can I help you today?", ""),
        ("you may 2 times", ""),
        ("at 10 percent", ""),
        ("31 February 2026", ""),
    ]);
}

#[test]
fn english_numbers_of_orders_and_accounts() {
    check(&[
        ("My order number is 123456", "order 123456"),
        ("order ORD-12345 please", "order ORD12345"),
        ("the tracking code is one two three double four", "order 12344"),
        ("ticket 4 5 6 7", "order 4567"),
        ("my account number is 987 654 321", "account 987654321"),
        ("customer ID 55012", "account 55012"),
        ("invoice number A B 1 2 3 4", "order AB1234"),
        ("I want to order 2 courses", ""),
    ]);
}

#[test]
fn english_names_cities_and_courses() {
    check(&[
        ("My name is Sara Kamali.", "person Sara Kamali"),
        ("Hi, this is John Smith from London", "person John Smith; city London"),
        ("my name is sara and i live in tehran", "person sara; city Tehran"),
        ("I'm calling about my order", ""),
        ("I'm Ali Rezaei, I want to register for IELTS", "person Ali Rezaei; course IELTS"),
        ("This is not working", ""),
        ("I am from Shiraz", "city Shiraz"),
        ("my level is B2", "course B2"),
        ("level b two or c one", "course B2; course C1"),
        ("We have a 2 hour class", ""),
        ("the TOEFL in New York", "course TOEFL; city New York"),
        ("i am waiting", ""),
    ]);
}

#[test]
fn persian_telephone_numbers() {
    check(&[
        ("شماره من ۰۹۱۲ ۳۴۵ ۶۷ ۸۹ هست", "phone +989123456789"),
        ("صفر نهصد و دوازده سیصد و چهل و پنج شصت و هفت هشتاد و نه", "phone +989123456789"),
        ("صفر نه یک دو سه چهار پنج شش هفت هشت نه", "phone +989123456789"),
        ("نهصد و سی و پنج، صد و بیست و سه، چهل و پنج، شصت و هفت", "phone +989351234567"),
        ("٠٩١٢٣٤٥٦٧٨٩", "phone +989123456789"),
        ("تلفن ثابتم صفر بیست و یک هشتاد و هشت هشتاد و هشت دوازده سی و چهار", "phone +982188881234"),
        ("با مثبت ۹۸ ۹۱۲ ۳۴۵ ۶۷۸۹ تماس بگیرید", "phone +989123456789"),
        ("شماره موبایلم صفر نهصد و دوازده دو تا صفر هفت دویست و ده دو", "phone +989120072102"),
        ("سه تا گوشی دارم", ""),
        ("کد پستی ۱۲۳۴۵۶۷۸۹۰", ""),
    ]);
}

#[test]
fn persian_addresses() {
    check(&[
        ("ایمیلم sara.k@gmail.com هست", "email sara.k@gmail.com"),
        ("sara دات k ات جیمیل دات کام", "email sara.k@gmail.com"),
        ("سارا دات کریمی ات یاهو دات کام", "email سارا.کریمی@yahoo.com"),
        ("info ات company دات آی آر", "email info@company.ir"),
        ("ali آندرلاین ۷۷ ات هات‌میل دات کام", "email ali_77@hotmail.com"),
    ]);
}

#[test]
fn persian_money() {
    check(&[
        ("دویست و پنجاه هزار تومان", "money 250000 IRT"),
        ("۲۵۰ هزار تومن", "money 250000 IRT"),
        ("یک میلیون و دویست هزار تومان پرداخت کردم", "money 1200000 IRT"),
        ("۲۵۰٬۰۰۰ ریال", "money 250000 IRR"),
        ("دو و نیم میلیون تومن", "money 2500000 IRT"),
        ("پونصد هزار تومن", "money 500000 IRT"),
        ("صد دلار یا نود یورو", "money 100 USD; money 90 EUR"),
        ("سیصدوپنجاه‌هزار تومان", "money 350000 IRT"),
        ("هزار تومن", "money 1000 IRT"),
        ("۱۲/۵ دلار", "money 12.5 USD"),
        ("نیم میلیون تومان", "money 500000 IRT"),
        ("دویست و پنجاه نفر", ""),
    ]);
}

#[test]
fn persian_times() {
    check(&[
        ("فردا ساعت ده و نیم", "datetime 2026-11-30T10:30"),
        ("سه‌شنبه بعد", "datetime 2026-12-08"),
        ("سه شنبه ساعت پنج عصر", "datetime 2026-12-01T17:00"),
        ("پس‌فردا ساعت ۱۴:۱۵", "datetime 2026-12-01T14:15"),
        ("امشب ساعت هشت", "datetime 2026-11-29T20:00"),
        ("یه ربع به پنج", "datetime T16:45"),
        ("ده دقیقه به نه صبح", "datetime T08:50"),
        ("ساعت پنج و بیست دقیقه", "datetime T17:20"),
        ("۱۲ خرداد ۱۴۰۵", "datetime 2026-06-02"),
        ("دوازدهم خرداد", "datetime 2026-06-02"),
        ("بیست و یکم آذر هزار و چهارصد و پنج", "datetime 2026-12-12"),
        ("اول فروردین", "datetime 2027-03-21"),
        ("سی‌ام اسفند ۱۴۰۳", "datetime 2025-03-20"),
        ("سی‌ام اسفند ۱۴۰۴", ""),
        ("۱۴۰۵/۰۳/۱۲ ساعت ۱۰:۳۰", "datetime 2026-06-02T10:30"),
        ("پنجم ژانویه ۲۰۲۷", "datetime 2027-01-05"),
        ("سه روز دیگه", "datetime 2026-12-02"),
        ("نیم ساعت دیگه تماس می‌گیرم", "datetime 2026-11-29T09:30"),
        ("دو هفته پیش", "datetime 2026-11-15"),
        ("فردا صبح ساعت نه", "datetime 2026-11-30T09:00"),
        ("ساعت دو بعد از ظهر جمعه", "datetime 2026-12-04T14:00"),
        ("شنبه", "datetime 2026-12-05"),
        ("دیروز", "datetime 2026-11-28"),
        ("دو ساعت طول کشید", ""),
        ("کلاس سه ماهه", ""),
    ]);
}

#[test]
fn persian_numbers_of_orders_and_accounts() {
    check(&[
        ("شماره سفارشم ۱۲۳۴۵۶ هست", "order 123456"),
        ("کد پیگیری سیصد و چهل و پنج شصت و هفت", "order 34567"),
        ("شماره حسابم ۹۸۷ ۶۵۴ ۳۲۱", "account 987654321"),
        ("شماره اشتراک من ۵۵۰۱۲", "account 55012"),
        ("شماره دانشجویی ۹۸۷۶۵۴۳", "account 9876543"),
        ("می‌خوام سفارش بدم", ""),
    ]);
}

#[test]
fn persian_names_cities_and_courses() {
    check(&[
        ("من سارا کریمی هستم", "person سارا کریمی"),
        ("سلام، من علی هستم از شیراز", "person علی; city Shiraz"),
        ("اسم من مریم رضاییه", "person مریم رضاییه"),
        ("اسمم رضا است", "person رضا"),
        ("آقای محمدی هستم", "person محمدی"),
        ("من الان تهران هستم", "city Tehran"),
        ("من منتظر هستم", ""),
        ("من دانشجو هستم", ""),
        ("برای آیلتس ثبت‌نام می‌خوام", "course IELTS"),
        ("سطح بی دو یا سی یک", "course B2; course C1"),
        ("سطحم B1 هست", "course B1"),
        ("آزمون تافل در بندر عباس", "course TOEFL; city Bandar Abbas"),
        ("از اصفهان زنگ می‌زنم", "city Isfahan"),
    ]);
}

#[test]
fn an_entity_says_what_it_rests_on() {
    let text = "so, my number is 0912 345 6789. ok";
    let words: Vec<Word> = (0..)
        .zip(text.split(' '))
        .map(|(n, w)| Word { w: w.into(), start_ms: Millis(n * 100), end_ms: Millis(n * 100 + 100), p: 0.5 })
        .collect();
    let found = entities(text, &words, now(), None);
    assert_eq!(found.len(), 1);
    assert_eq!(text.get(found[0].chars.clone()), Some("0912 345 6789"));
    assert_eq!(found[0].words, Some(4..7));
    assert!((found[0].confidence - 0.475).abs() < 1e-6, "{}", found[0].confidence);
    // Words of another text are no ground for anything.
    assert_eq!(entities(text, &words[1..], now(), None)[0].words, None);
}

#[test]
fn dates_at_the_end_of_time_are_none() {
    let end = PrimitiveDateTime::MAX;
    for text in ["tomorrow", "in 60000 hours", "next Tuesday", "فردا", "سه هفته دیگه", "12 May", "۱۲ خرداد"]
    {
        let _ = entities(text, &[], end, None);
        let _ = entities(text, &[], PrimitiveDateTime::MIN, None);
    }
}

fn speech() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        proptest::sample::select(vec![
            "at",
            "dot",
            "com",
            "@",
            "gmail",
            "tomorrow",
            "next",
            "Tuesday",
            "half",
            "past",
            "quarter",
            "to",
            "ten",
            "May",
            "12th",
            "the",
            "in",
            "two",
            "hours",
            "a",
            "o'clock",
            "am",
            "p.m.",
            "order",
            "number",
            "is",
            "my",
            "name",
            "this",
            "i'm",
            "Sara",
            "B2",
            "b",
            "double",
            "oh",
            "+",
            "00",
            "0912",
            "$",
            "tomans",
            "and",
            "cents",
            "million",
            "فردا",
            "ساعت",
            "و",
            "نیم",
            "ربع",
            "به",
            "پنج",
            "سه",
            "شنبه",
            "بعد",
            "خرداد",
            "۱۴۰۵",
            "/",
            ":",
            "-",
            ".",
            "تومان",
            "من",
            "هستم",
            "علی",
            "اسم",
            "سی",
            "دو",
            "تا",
            "صفر",
            "ات",
            "دات",
            "آی",
            "آر",
            "خط",
            "تیره",
            "\u{200c}",
            "31",
            "12/05/2026",
        ])
        .prop_map(str::to_owned),
        "[0-9۰-۹]{1,20}",
        any::<String>(),
    ];
    proptest::collection::vec((part, proptest::sample::select(vec![" ", "", " ", "\n"])), 0..24)
        .prop_map(|parts| parts.into_iter().flat_map(|(part, space)| [part, space.to_owned()]).collect())
}

proptest! {
    #[test]
    fn any_text_gives_entities_within_it(text in speech(), seconds in any::<u32>()) {
        let words: Vec<Word> = text
            .split_whitespace()
            .map(|w| Word { w: w.into(), start_ms: Millis(0), end_ms: Millis(0), p: 1.0 })
            .collect();
        let now = now() + time::Duration::seconds(seconds.into());
        let found = entities(&text, &words, now, asked_for(&text));
        let mut last = 0;
        for entity in found {
            prop_assert!(entity.chars.start >= last && entity.chars.end > entity.chars.start);
            last = entity.chars.end;
            prop_assert!(entity.words.is_none_or(|range| range.start < range.end && range.end <= words.len()));
            prop_assert!((0.0..=1.0).contains(&entity.confidence) && !entity.value.is_empty());
        }
        prop_assert!(last <= text.chars().count());
    }
}

#[test]
fn an_answer_is_what_was_asked_for() {
    let answer = |question: &str, said: &str| -> Vec<String> {
        let found = entities(said, &[], now(), asked_for(question));
        found.iter().map(|e| format!("{:?} {}", e.kind, e.value).to_lowercase()).collect()
    };
    let question = "I am sorry to hear that. Could you give me your order number, please?";
    assert_eq!(answer(question, "Sure, let me see. It is 471 926."), ["order 471926"]);
    assert_eq!(answer(question, "four seven one, nine two six"), ["order 471926"]);
    assert_eq!(answer("شماره سفارشتون رو می‌فرمایید؟", "بله، ۴۷۱ ۹۲۶"), ["order 471926"]);
    assert_eq!(answer("What is your account number?", "4471 and it is 12 days late"), ["account 4471"]);
    // What names itself is that; and a number that nobody asked for is nothing.
    assert_eq!(answer(question, "The invoice is 5512, and I have 3 boxes."), ["order 5512"]);
    assert_eq!(answer(question, "My number is 0912 345 6789."), ["phone +989123456789"]);
    assert_eq!(answer("Where is your order?", "It is 471 926."), [""; 0]);
    assert_eq!(answer("Your order number is 471 926, is it?", "I have 5512 of them."), [""; 0]);
}
