//! When something is looked up while a customer talks, and what: rules over the words, in English and Persian.
//!
//! Most of what is said on a telephone asks for nothing that is written down: greetings, numbers, yes and no, answers to
//! what the agent has asked. Of the rest, questions and problems are looked up, and what is recognised as a wish. What
//! people say around these, such as who they are, is left out of the query; and where it leans on what was said before
//! (“and for the second month?”), that is its context.
//!
//! The rules let through more than is answered: how sure a hit is decides what is shown.

use std::collections::HashSet;
use std::ops::Range;

use sotto_text::fold;

use crate::excerpt::clauses;
use crate::words::Analyser;

/// Something that was said before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn<'a> {
    /// It was the customer; otherwise whoever talks with them.
    pub is_customers: bool,
    /// What was said.
    pub text: &'a str,
}

/// What is to be looked up: the text and the context of a [`Query`](crate::Query).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question<'a> {
    /// What was asked: a stretch of what was said.
    pub text: &'a str,
    /// What it leans on, the newest first.
    pub context: Vec<&'a str>,
}

/// Why nothing is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unasked {
    /// There are no words.
    Nothing,
    /// A greeting, thanks, a goodbye.
    Courtesy,
    /// Yes, no, and the like.
    YesOrNo,
    /// A number that is dictated, an amount.
    Number,
    /// Who they are.
    Introduction,
    /// About the conversation itself: whether one is heard, a moment's patience.
    Conversation,
    /// The answer to what the agent has asked.
    Answer,
    /// It leans on what was said before, and nothing was.
    Vague,
    /// Neither a question nor a problem nor a wish.
    Statement,
}

/// Characters of what is said that are looked at; the rest of so long a speech is no question's beginning.
const MAX_SAID: usize = 1_000;
/// Turns that a question may lean on, and how many characters (Unicode scalar values) they have together: embedding them
/// takes time.
const MAX_TURNS: usize = 3;
const MAX_CONTEXT: usize = 300;
/// With fewer words that mean something, a question leans on what was said before. Judged, as are the lists below, and tried on
/// the six calls of BENCHMARKS.md (“Cards”): “How much is it?” has none, “When is it delivered?” one, and what can be looked up
/// by itself names a thing and what is wanted of it. What nothing answers is held back by the confidence of its hit
/// ([`SURE`](crate::SURE)).
const ALONE: usize = 3;
/// A sentence about the conversation itself has fewer words.
const SHORT: usize = 9;

/// Phrases are compared in one spelling, and as whole words.
const QUESTIONS: &str = "
    what is, whats, what are, what do, what does, what can, what should, what if, what about, what your,
    what time, what kind, how, when is, when are, when will, when do, when does, when can, where, why, which
    one, who do i, who can, can i, can you, can we, could i, could you, may i, should i, do i, do you, do
    we, does it, does the, does that, did you, will it, will you, will i, would you, would it, is it
    possible, is it true, is there, are there, are you able, any idea, any way, wonder, wondering, tell me,
    let me know, like to know, want to know, need to know, find out, have a question, and for, and if,
    چطور, چطوره, چطوری, چه طور, چه طوری, چگونه, چجوری, چه جوری, چرا, کجا, کجاست, چقدر, چقدره, چه قدر, چنده,
    چند است, چند تا, چند روز طول, چند وقت طول, چه کار, چیکار, چکار, چه زمانی, چه وقت, چه ساعتی, چه موقع, تا
    کی, از کی, کی میرسه, کی میشه, کدوم, کدام, آیا, چیه, چیست, چی هست, چه مدت, چه شرایطی, میشه, میشود,
    میتونم, میتوانم, میتونید, میتوانید, امکانش هست, امکان داره, ممکنه, مجازم, میخواستم بدونم, میخواستم
    ببینم, میخوام بدونم, سوال داشتم, سوالم, بگید که, برای ماه, و اگر, و اگه, اگه بخوام";

/// Problems, and wishes that something be done.
const PROBLEMS: &str = "
    cant, cannot, can not, could not, couldnt, doesnt, does not, wont, will not, isnt, is not, arent, didnt,
    did not, hasnt, has not, havent, have not, not able, unable, not working, stopped working, never, lost,
    stolen, broke, broken, missing, forgot, forgotten, problem, problems, trouble, error, issue, wrong,
    mistake, failed, fails, blocked, locked, expired, slow, late, delayed, declined, charged, still,
    crashed, cancel, complain, complaint, i want, i need, i would like, id like, i wanted, i have to, im
    trying, i am trying, im calling about, im calling to, im calling because, i am calling about, i am
    calling to, calling about, looking for, interested in, help me, need help, help with, please send,
    مشکل, مشکلی, خراب, خرابه, قطع, قطعه, قطع شده, گم, دزدیدن, دزدیده, فراموش, یادم رفته, یادم نیست, نرسیده,
    نرسید, نیومده, نیامده, نشده, نشد, نداره, ندارم, ندارد, وصل نیست, ارور, خطا, خطای, کند شده, کنده, ضعیفه,
    منقضی, مسدود, قفل, اشتباه, شکایت, هنوز, میخوام, میخواهم, میخواستم, لازم دارم, نیاز دارم, احتیاج دارم,
    دنبال, کمکم, کمک کنید, لغو, کنسل";

/// With these somebody goes on from who they are to what they want.
const OPENINGS: &str = "
    i would, id like, i want, i wanted, i need, i was, i have, ive, i lost, i cant, i cannot, i forgot, im
    trying, im calling, i am trying, i am calling, and i, and im, and my, my, can, could, how, what, when,
    where,
    میخوام, میخواهم, میخواستم, یه, یک, چطور, برای";

/// Who says this says who they are.
const NAMES: &str = "
    my name is, my names, you are speaking,
    اسم من, اسمم, نام من";

/// So may begin who somebody is, if it goes on as `PRESENTED` says: a sentence with “I am” may say anything.
const PRESENTING: &str = "
    this is, im, i am, its,
    من";

const PRESENTED: &str = "
    speaking, calling from,
    هستم";

const CONVERSATION: &str = "
    hear me, are you there, you there, repeat that, repeat it, say that again, say it again, pardon, come
    again, hold on, one moment, one second, just a moment, just a second, just a minute, give me a moment,
    give me a second, how are you, how you doing, let me see, let me check, let me look, did you say,
    صدامو, صدای منو, صدای من, یه لحظه, یک لحظه, یه دقیقه, چند لحظه, دوباره بگید, دوباره بفرمایید, تکرار
    کنید, چی گفتید, الو, حالتون, حال شما, خوب هستید, خوبید, گوشی دستتون, اجازه بدید";

/// The agent leaves it to the customer what to talk about.
const OPEN: &str = "
    help you, assist you, do for you, anything else, something else, what can i, your question, the problem,
    the issue, whats wrong, what happened, tell me more,
    کمکتون, کمکی, کمک کنم, در خدمتم, در خدمتتون, در خدمت, امرتون, بفرمایید, مشکل, مورد دیگه, سوال دیگه, چه
    اتفاقی";

/// What the agent asks and the customer is to answer, where there is no question mark.
const ASKED: &str = "
    what is your, what is the, what was, which, may i have, can i have, could i have, can i get, could you
    give, can you give, could you tell, can you tell, could you confirm, can you confirm, give me your, tell
    me your, your name,
    شماره, اسم شما, اسمتون, بگید, بگین, بفرمایید, کدوم, کدام, چنده, چیه";

/// So begins what goes on from what was said before.
const FOLLOWING: &str = "
    and, so, or, but, what about, how about,
    و, پس, یا, ولی";

/// With these words something leans on what was said before.
const LEANING: &str = "
    it, that, this, these, those, them, they, one, ones, there, then, too, also, else, instead,
    این, اینو, اون, اونو, آن, همین, همون, اینا, اونا, آنها, هم, اینجا, اونجا";

const YES_AND_NO: &str =
    "yes yeah yep yup no nope nah not really correct right exactly sure definitely absolutely
    course of i do dont did didnt am is it that thats true
    بله بلی آره اره نه نخیر خیر درسته درست دقیقا حتما همینطور همینه هست نیست بله";

/// With a name behind them they are a greeting, or thanks.
const GREETINGS: &str = "hi hello hey thanks bye goodbye سلام درود ممنون مرسی خداحافظ";

const FILLERS: &str =
    "uh um er erm oh ah eh mm hm hmm mhm well okay ok so alright great good perfect fine wonderful
    excellent please just like you know i mean
    خب خوب اهان آهان آها اوکی باشه لطفا ببخشید یعنی والا دیگه عزیزم جان چشم";

const COURTESIES: &str = "hi hello hey thanks thank you bye goodbye good morning afternoon evening day night nice have
    a great the your for help very much so that that's thats is all was it i everything nothing else needed going to be
    too and again take care see later welcome appreciate appreciated really wonderful sir madam mr mrs ms today
    سلام درود ممنون ممنونم مرسی متشکرم متشکر سپاس سپاسگزارم تشکر خداحافظ خدانگهدار خدا نگهدار روز روزتون وقت وقتتون
    شب بخیر خوش خسته نباشید نباشین دستتون درد نکنه لطف کردید کردین خیلی از شما زحمت کشیدید کمکتون محبت آقا خانم
    قربان علیکم بابت راهنماییتون راهنمایی همین بود";

const NUMBERS: &str = "zero oh one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million
    double triple point half
    صفر یک دو سه چهار پنج شش شیش هفت هشت نه ده یازده دوازده سیزده چهارده پانزده پونزده شانزده شونزده هفده هیفده هجده
    هیجده نوزده بیست سی چهل پنجاه شصت هفتاد هشتاد نود صد دویست سیصد چهارصد پانصد پونصد ششصد شیشصد هفتصد هشتصد نهصد
    هزار میلیون میلیارد";

/// What stands around a number that is dictated.
const AROUND_NUMBERS: &str =
    "and my the is its it number numbers code zip phone account order card reference amount of
    bill for dollar dollars cents euro euros pounds percent address street
    و شماره شمارهام من است هست مبلغ تومن تومان ریال درصد کد سفارش کارت حساب تلفن موبایل میشه";

/// Words that name nothing to look up.
const EMPTY: &str =
    "much many long far often one ones thing things something anything else again now still really maybe
    first second third next more other same
    چیز چیزی بعد دوم سوم اول دیگه بیشتر الان";

/// Decides what is looked up.
pub struct Trigger {
    analyser: Analyser,
    questions: Phrases,
    problems: Phrases,
    openings: Phrases,
    names: Phrases,
    presenting: Phrases,
    presented: Phrases,
    conversation: Phrases,
    open: Phrases,
    asked: Phrases,
    following: Phrases,
    leaning: Phrases,
    greetings: HashSet<String>,
    yes_and_no: HashSet<String>,
    fillers: HashSet<String>,
    courtesies: HashSet<String>,
    numbers: HashSet<String>,
    around_numbers: HashSet<String>,
    empty: HashSet<String>,
}

impl Default for Trigger {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Trigger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trigger").finish_non_exhaustive()
    }
}

impl Trigger {
    /// By the rules that are built in.
    #[must_use]
    pub fn new() -> Self {
        Self {
            analyser: Analyser::new(),
            questions: Phrases::of(QUESTIONS),
            problems: Phrases::of(PROBLEMS),
            openings: Phrases::of(OPENINGS),
            names: Phrases::of(NAMES),
            presenting: Phrases::of(PRESENTING),
            presented: Phrases::of(PRESENTED),
            conversation: Phrases::of(CONVERSATION),
            open: Phrases::of(OPEN),
            asked: Phrases::of(ASKED),
            following: Phrases::of(FOLLOWING),
            leaning: Phrases::of(LEANING),
            greetings: words(GREETINGS),
            yes_and_no: words(YES_AND_NO),
            fillers: words(FILLERS),
            courtesies: words(COURTESIES),
            numbers: words(NUMBERS),
            around_numbers: words(AROUND_NUMBERS),
            empty: words(EMPTY),
        }
    }

    /// What is to be looked up for final words of a customer. `before` is what was said before them, the newest first;
    /// `is_wish` is whether they are recognised as something that the organisation's customers want.
    ///
    /// # Errors
    /// [`Unasked`] where nothing is.
    pub fn question<'a>(
        &self,
        said: &'a str,
        before: &[Turn<'a>],
        is_wish: bool,
    ) -> Result<Question<'a>, Unasked> {
        let text = self.content(said)?;
        let plain = plain(text);
        let asks = text.contains(['?', '؟']) || self.questions.are_in(&plain);
        if !asks && !self.has_problem(&plain) {
            let agents = before.iter().find(|turn| !turn.is_customers);
            if agents.is_some_and(|turn| self.wants_answer(turn.text)) {
                return Err(Unasked::Answer);
            }
            if !is_wish {
                return Err(Unasked::Statement);
            }
        }
        let means = self.means(text);
        let leans = means < ALONE || self.following.begin(&plain) || self.leaning.are_in(&plain);
        let context = if leans { self.context(before) } else { Vec::new() };
        if means == 0 && context.is_empty() {
            return Err(Unasked::Vague);
        }
        Ok(Question { text, context })
    }

    /// What of an utterance is neither courtesy nor the like: from the first part that says something to the last.
    fn content<'a>(&self, said: &'a str) -> Result<&'a str, Unasked> {
        let said = said.char_indices().nth(MAX_SAID).map_or(said, |(end, _)| &said[..end]);
        let mut kept: Option<Range<usize>> = None;
        let mut why = Unasked::Nothing;
        for part in clauses(said) {
            match self.in_part(&said[part.clone()]) {
                Ok(from) => {
                    let begin = kept.map_or(part.start + from, |kept| kept.start);
                    kept = Some(begin..part.end);
                }
                // Of several reasons the one that says most.
                Err(reason) if telling(reason) > telling(why) => why = reason,
                Err(_) => {}
            }
        }
        kept.map(|range| said[range].trim_end_matches([',', '،', ';', '؛'])).ok_or(why)
    }

    /// From which byte on a part says something.
    fn in_part(&self, part: &str) -> Result<usize, Unasked> {
        let plain = plain(part);
        let all: Vec<&str> = plain.split_whitespace().collect();
        let are = |known: &[&HashSet<String>]| {
            all.iter().all(|word| known.iter().any(|known| known.contains(*word)))
        };
        if all.iter().all(|word| self.fillers.contains(*word)) {
            return Err(if all.is_empty() { Unasked::Nothing } else { Unasked::Courtesy });
        }
        if are(&[&self.yes_and_no, &self.fillers]) {
            return Err(Unasked::YesOrNo);
        }
        let is_number = |word: &str| word.starts_with(char::is_numeric) || self.numbers.contains(word);
        let is_around = |word: &str| self.around_numbers.contains(word) || self.fillers.contains(word);
        if all.iter().any(|word| is_number(word))
            && all.iter().all(|word| is_number(word) || is_around(word) || self.yes_and_no.contains(*word))
        {
            return Err(Unasked::Number);
        }
        if are(&[&self.courtesies, &self.fillers, &self.yes_and_no]) {
            return Err(Unasked::Courtesy);
        }
        if all.len() < SHORT && self.conversation.are_in(&plain) {
            return Err(Unasked::Conversation);
        }
        let is_presented = self.presenting.begin(&plain) && self.presented.are_in(&plain);
        if is_presented || self.names.are_in(&plain) {
            return self.after_introduction(part).ok_or(Unasked::Introduction);
        }
        if part.contains(['?', '؟']) || self.has_problem(&plain) {
            return Ok(0);
        }
        match &all[..] {
            [_] => Err(Unasked::Statement),
            [first, _] | [first, _, _] if self.greetings.contains(*first) => Err(Unasked::Courtesy),
            _ => Ok(0),
        }
    }

    /// Where somebody goes on who has said who they are.
    fn after_introduction(&self, part: &str) -> Option<usize> {
        let mut at = 0;
        let starts = part.split_inclusive(char::is_whitespace).map(|word| {
            at += word.len();
            at
        });
        // The introduction's own words open nothing.
        starts.skip(2).take(MAX_SAID / 10).find(|at| {
            let rest = plain(&part[*at..]);
            self.openings.begin(&rest) && rest.split_whitespace().count() > 1 && !self.names.are_in(&rest)
        })
    }

    /// Whether the agent has asked for something that the customer is to answer, and not what they want.
    fn wants_answer(&self, text: &str) -> bool {
        let plain = plain(text);
        (text.contains(['?', '؟']) || self.asked.are_in(&plain)) && !self.open.are_in(&plain)
    }

    fn has_problem(&self, plain: &str) -> bool {
        self.problems.are_in(plain) || is_negated(plain)
    }

    /// How many words mean something.
    fn means(&self, text: &str) -> usize {
        let words = self.analyser.words(text);
        words.iter().filter(|word| !word.stop && !self.empty.contains(&word.shown)).count()
    }

    /// What a question leans on.
    fn context<'a>(&self, before: &[Turn<'a>]) -> Vec<&'a str> {
        let mut room = MAX_CONTEXT;
        // “How can I help you?” says nothing about what.
        let says = |turn: &&Turn<'a>| turn.is_customers || !self.open.are_in(&plain(turn.text));
        let turns = before.iter().filter(says).filter_map(|turn| self.content(turn.text).ok());
        let turns = turns.take(MAX_TURNS).map_while(|turn| {
            room = room.checked_sub(turn.chars().count())?;
            Some(turn)
        });
        turns.collect()
    }
}

/// How much a reason says.
fn telling(why: Unasked) -> u8 {
    match why {
        Unasked::Nothing => 0,
        Unasked::Statement => 1,
        Unasked::Courtesy => 2,
        Unasked::YesOrNo => 3,
        Unasked::Conversation => 4,
        Unasked::Introduction => 5,
        Unasked::Number => 6,
        // Of a whole utterance only.
        Unasked::Answer | Unasked::Vague => 7,
    }
}

/// Whether a Persian verb is denied, as in “it does not open”.
fn is_negated(plain: &str) -> bool {
    plain.split_whitespace().any(|word| word.starts_with("نمی") && word.chars().count() > 4)
}

/// A text in one spelling, its words with a space at either side. What Persian writes behind a half-space, or apart, belongs
/// to its verb.
fn plain(text: &str) -> String {
    let mut out = String::from(" ");
    for c in fold(text).chars().filter(|c| *c != '\'') {
        if c.is_alphanumeric() {
            out.push(c);
        } else if !out.ends_with(' ') {
            out.push(' ');
        }
    }
    if !out.ends_with(' ') {
        out.push(' ');
    }
    out.replace(" می ", " می").replace(" نمی ", " نمی")
}

fn words(list: &str) -> HashSet<String> {
    plain(list).split_whitespace().map(str::to_owned).collect()
}

/// Phrases of whole words.
struct Phrases(Vec<String>);

impl Phrases {
    fn of(list: &str) -> Self {
        Self(list.split(',').map(plain).collect())
    }

    fn are_in(&self, plain: &str) -> bool {
        self.0.iter().any(|phrase| plain.contains(phrase.as_str()))
    }

    fn begin(&self, plain: &str) -> bool {
        self.0.iter().any(|phrase| plain.starts_with(phrase.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HELP: Turn<'static> = Turn { is_customers: false, text: "Hello, how can I help you today?" };

    fn asked<'a>(said: &'a str, before: &[Turn<'a>]) -> Result<&'a str, Unasked> {
        Trigger::new().question(said, before, false).map(|question| question.text)
    }

    #[test]
    fn questions_and_problems_are_looked_up_in_english() {
        for said in [
            "How do I renew my panel?",
            "I can't log in.",
            "I lost my debit card.",
            "I was wondering what your local branch hours are.",
            "I would like to transfer money between my accounts.",
            "I ordered a coffee machine two weeks ago, and it still has not arrived.",
            "When will my order be delivered? And can you refund the delivery fee?",
            "Nobody hears me in the online class, it doesn't work.",
            "Do you know if there is a discount for students",
            "Tell me about the refund policy",
            "The internet is very slow since yesterday",
        ] {
            assert_eq!(asked(said, &[HELP]), Ok(said));
        }
    }

    #[test]
    fn questions_and_problems_are_looked_up_in_persian() {
        let help =
            Turn { is_customers: false, text: "سلام، چطور می‌تونم کمکتون کنم؟" };
        for said in [
            "چطور پنلم رو تمدید کنم؟",
            "رمز پنل رو فراموش کردم",
            "نمی‌تونم وارد حساب بشم",
            "نمی تونم وارد حساب بشم",
            "هزینه دوره آیلتس چقدره؟",
            "وی پی ان قطع شده",
            "می‌خوام پولم رو پس بگیرم",
            "سفارشم هنوز به دستم نرسیده",
            "میشه قسطی پرداخت کرد",
        ] {
            assert_eq!(asked(said, &[help]), Ok(said));
        }
    }

    #[test]
    fn what_asks_for_nothing_is_not_looked_up_and_it_is_said_why() {
        use Unasked::*;
        let number = Turn { is_customers: false, text: "Could you give me your order number, please?" };
        let which = Turn { is_customers: false, text: "Which card would you like to replace?" };
        let persian =
            Turn { is_customers: false, text: "لطفا شماره سفارشتون رو بگید." };
        for (said, before, why) in [
            ("", HELP, Nothing),
            ("...", HELP, Nothing),
            ("Hi.", HELP, Courtesy),
            ("Hi Sarah.", HELP, Courtesy),
            ("All right. Thank you for your help, Sarah.", HELP, Courtesy),
            ("Okay, well, thank you for your help. That's all I needed.", HELP, Courtesy),
            ("You too, bye bye.", HELP, Courtesy),
            ("Yes.", which, YesOrNo),
            ("No, not really.", which, YesOrNo),
            ("Sure, let me see. It is four seven one, nine two six.", number, Number),
            ("The amount is one hundred and thirty-five dollars.", which, Number),
            ("0912 345 6789", number, Number),
            ("My name is Patricia Brown.", HELP, Introduction),
            ("Hi, this is David speaking.", HELP, Introduction),
            ("Can you hear me?", HELP, Conversation),
            ("Sorry, could you repeat that?", HELP, Conversation),
            ("My debit card.", which, Answer),
            ("Twelve Garden Street, apartment five.", number, Answer),
            ("Savings.", which, Statement),
            ("I have lived here for nine years.", HELP, Statement),
            ("How much is it?", HELP, Vague),
            ("سلام، خسته نباشید.", HELP, Courtesy),
            ("خیلی ممنون از شما، خداحافظ.", HELP, Courtesy),
            ("بله، درسته.", persian, YesOrNo),
            ("پنج، هفت، دو، نه.", persian, Number),
            ("شماره من ۰۹۱۲۳۴۵۶۷۸۹ هست", persian, Number),
            ("اسم من رضا کریمی هست.", HELP, Introduction),
            ("الو، صدامو دارید؟", HELP, Conversation),
            ("سفارش دیروز عصر", persian, Answer),
        ] {
            assert_eq!(asked(said, &[before]), Err(why), "{said}");
        }
    }

    #[test]
    fn what_stands_around_a_question_is_left_out() {
        for (said, text) in [
            ("Hi, my name is Patricia Brown. I lost my debit card.", "I lost my debit card."),
            (
                "Hi Linda, my name is Robert. I was wondering about your fees, thanks.",
                "I was wondering about your fees",
            ),
            ("hi my name is robert johnson i would like to transfer money", "i would like to transfer money"),
            ("Okay. When will it be delivered? Thank you.", "When will it be delivered?"),
            ("سلام، من رضا هستم. پنلم منقضی شده.", "پنلم منقضی شده."),
        ] {
            assert_eq!(asked(said, &[HELP]), Ok(text));
        }
    }

    #[test]
    fn an_answer_with_a_question_or_a_problem_in_it_is_looked_up_and_a_wish_is_too() {
        let which = Turn { is_customers: false, text: "Which card would you like to replace?" };
        assert_eq!(asked("My debit card, I lost it.", &[which]), Ok("My debit card, I lost it."));
        let said = "A box of checks for my account";
        let wish = |before: &[Turn<'_>], is_wish| Trigger::new().question(said, before, is_wish).map(|_| ());
        assert_eq!(wish(&[HELP], false), Err(Unasked::Statement));
        assert_eq!(wish(&[HELP], true), Ok(()));
        assert_eq!(wish(&[which], true), Err(Unasked::Answer));
    }

    #[test]
    fn a_question_that_leans_on_what_was_said_has_it_as_context() {
        let context = |said: &'static str, before: &[(bool, &'static str)]| {
            let before: Vec<Turn<'_>> =
                before.iter().map(|&(is_customers, text)| Turn { is_customers, text }).collect();
            Trigger::new().question(said, &before, false).unwrap().context
        };
        let before = [
            (false, "The starter package costs two dollars a month."),
            (true, "Hi, my name is Ada. I want the starter package."),
            (false, "Hello, how can I help you?"),
        ];
        let both = ["The starter package costs two dollars a month.", "I want the starter package."];
        assert_eq!(context("And for the second month?", &before), both);
        assert_eq!(context("How much is it?", &before), both);
        assert_eq!(context("Can you send me a new one?", &[(true, "I lost my card.")]), ["I lost my card."]);
        assert_eq!(context("How do I change the password of a panel?", &before), [] as [&str; 0]);
        let persian = [(false, "بسته پایه ماهی صد تومنه."), (true, "سلام.")];
        assert_eq!(context("و برای ماه دوم چی؟", &persian), ["بسته پایه ماهی صد تومنه."]);
        let long = "a panel ".repeat(60);
        assert_eq!(
            Trigger::new().question("How much is it?", &[Turn { is_customers: true, text: &long }], false),
            Err(Unasked::Vague)
        );
    }

    proptest! {
        #[test]
        fn any_words_are_decided_on(said in "\\PC{0,120}", before in "\\PC{0,120}", is_customers: bool) {
            let before = [Turn { is_customers, text: &before }];
            if let Ok(question) = Trigger::new().question(&said, &before, true) {
                prop_assert!(said.contains(question.text) && !question.text.is_empty());
            }
        }
    }
}
