// Generated from crates/call by its example `types`. Do not edit.

/** The version of the event format that these types describe. */
export const FORMAT_VERSION = 1;

/** What stands in a text in place of a secret. */
export const MASK = '••••';

/** Cards that are open at the same time. */
export const MOST_OPEN_CARDS = 2;

export type CallId = string;

export type UtteranceId = number;

export type Millis = number;

export type Party = "agent" | "customer" | "other";

export type Quality = "good" | "fair" | "poor";

export type Source = "siprec" | "sip" | "whip" | "file";

export type Participant = { 
/**
 * Which side they are on.
 */
party: Party, 
/**
 * Address of record (`sip:1002@pbx.example`), when known.
 */
aor?: string | null, 
/**
 * Display name, when known.
 */
name?: string | null, };

export type Word = { 
/**
 * The word as written in the text, punctuation included.
 */
w: string, 
/**
 * Where it begins.
 */
start_ms: Millis, 
/**
 * Where it ends.
 */
end_ms: Millis, 
/**
 * Probability the model gave it, 0 to 1.
 */
p: number, };

export type Utterance = { 
/**
 * Which utterance.
 */
utterance_id: UtteranceId, 
/**
 * Who speaks.
 */
party: Party, 
/**
 * False while the words may still change.
 */
final: boolean, 
/**
 * 0 for the first final and for partials; grows with each revision.
 */
revision: number, 
/**
 * The words, with punctuation.
 */
text: string, 
/**
 * How many characters (Unicode scalar values) of `text` are agreed on and will not change in later
 * partials; all of them in a final.
 */
stable_chars: number, 
/**
 * Where speech begins.
 */
start_ms: Millis, 
/**
 * Where speech ends; in a partial, how far it has been heard.
 */
end_ms: Millis, 
/**
 * The words with their times.
 */
words: Array<Word>, 
/**
 * BCP 47 code of the language recognised.
 */
language: string, 
/**
 * From the arrival of the last sample heard for this text to the publication of this event.
 */
latency_ms: Millis, };

export type Sentiment = { 
/**
 * Unpleasant.
 */
negative: number, 
/**
 * Neither.
 */
neutral: number, 
/**
 * Pleasant.
 */
positive: number, };

export type Emotion = "anger" | "annoyance" | "disappointment" | "confusion" | "worry" | "sadness" | "gratitude" | "joy" | "neutral";

export type WordsMood = { 
/**
 * How probable each sentiment is.
 */
sentiment: Sentiment, 
/**
 * How pleasant what was said is: from −1, unpleasant, to 1, pleasant.
 */
valence: number, 
/**
 * The emotion that is most probable.
 */
emotion: Emotion, 
/**
 * How probable that is, 0 to 1.
 */
emotion_p: number, };

export type Trend = "falling" | "steady" | "rising";

export type Arousal = { 
/**
 * From −1, calm, to 1, agitated.
 */
level: number, 
/**
 * The standard deviation of the estimate.
 */
deviation: number, };

export type ArcPoint = { 
/**
 * When: the end of the utterance.
 */
at_ms: Millis, 
/**
 * How pleasant, from −1 to 1.
 */
valence: number, 
/**
 * The standard deviation of the estimate.
 */
deviation: number, 
/**
 * Where it has gone of late.
 */
trend: Trend, 
/**
 * How agitated, where voices are listened to.
 */
arousal?: Arousal, };

export type TurnDirection = "decline" | "improvement";

export type Turn = { 
/**
 * Which way.
 */
direction: TurnDirection, 
/**
 * The customer's utterance with which that began.
 */
since: UtteranceId, 
/**
 * What was said just before, by whomever, as far as it was final by then: the trigger, perhaps.
 */
trigger?: UtteranceId, };

export type VoiceMood = { 
/**
 * How agitated it sounds: from −1, calmer than at first, to 1, more agitated.
 */
arousal: number, 
/**
 * How much higher the pitch is, in semitones.
 */
pitch_st?: number, 
/**
 * How much louder it is, in decibels.
 */
level_db: number, 
/**
 * How many times as fast it is, pauses left out.
 */
rate?: number, 
/**
 * How much larger a part of the utterance is pauses, from −1 to 1.
 */
pauses: number, };

export type Mood = { 
/**
 * The customer's utterance that it rests on.
 */
utterance_id: UtteranceId, 
/**
 * The revision of its words.
 */
revision: number, 
/**
 * What is made of them and of all that the customer said before.
 */
arc: ArcPoint, 
/**
 * With these words it shows that the mood has turned.
 */
turn?: Turn, 
/**
 * What the voice alone tells, where voices are listened to and there is something to compare it with.
 */
voice?: VoiceMood, 
/**
 * It is urgent to the customer, as far as these words tell.
 */
urgent?: boolean, 
/**
 * From the publication of the words to that of this event.
 */
latency_ms: Millis, 
/**
 * How probable each sentiment is.
 */
sentiment: Sentiment, 
/**
 * How pleasant what was said is: from −1, unpleasant, to 1, pleasant.
 */
valence: number, 
/**
 * The emotion that is most probable.
 */
emotion: Emotion, 
/**
 * How probable that is, 0 to 1.
 */
emotion_p: number, };

export type Consent = { 
/**
 * They agree that their mood is read.
 */
mood: boolean, };

export type Intent = { 
/**
 * The customer's utterance that it rests on.
 */
utterance_id: UtteranceId, 
/**
 * The revision of its words.
 */
revision: number, 
/**
 * The organisation's name for the intent. Absent when the words as they were revised are none of the intents,
 * which takes back what was recognised in them before.
 */
name?: string, 
/**
 * What people call it, by BCP 47 language.
 */
title?: { [key in string]: string }, 
/**
 * How probable it is, 0 to 1; 0 without a name.
 */
confidence: number, 
/**
 * The organisation wants supervisors to know of it.
 */
alert?: boolean, 
/**
 * From the publication of the words to that of this event.
 */
latency_ms: Millis, };

export type Span = { 
/**
 * The first.
 */
start: number, 
/**
 * The first that is no part of it any more.
 */
end: number, };

export type EntityKind = "phone" | "email" | "money" | "date_time" | "order" | "account" | "person" | "city" | "course";

export type Entity = { 
/**
 * What it is.
 */
kind: EntityKind, 
/**
 * What was named, in the form that its kind has.
 */
value: string, 
/**
 * The characters (Unicode scalar values) of the text that it rests on.
 */
chars: Span, 
/**
 * The words that it rests on; absent where the words are not those of the text.
 */
words?: Span, 
/**
 * From 0 to 1: how sure the rule is that found it, times how sure the recogniser was of the words.
 */
confidence: number, };

export type Entities = { 
/**
 * The utterance, whoever spoke.
 */
utterance_id: UtteranceId, 
/**
 * The revision of its words.
 */
revision: number, 
/**
 * In the order of the text, without overlap.
 */
entities: Array<Entity>, 
/**
 * From the publication of the words to that of this event.
 */
latency_ms: Millis, };

export type Secret = "card" | "cvv" | "expiry" | "password" | "iban" | "national_id";

export type TimeRange = { 
/**
 * Where it begins.
 */
start_ms: Millis, 
/**
 * Where it ends.
 */
end_ms: Millis, };

export type Redacted = { 
/**
 * The utterance.
 */
utterance_id: UtteranceId, 
/**
 * Who said it.
 */
party: Party, 
/**
 * What was taken out, in the order of the text.
 */
secrets: Array<Secret>, 
/**
 * Where in the party's audio they were said, in order, without overlap. Empty while the words may still change.
 */
ranges: Array<TimeRange>, 
/**
 * The ranges are silent in the recording.
 */
muted: boolean, };

export type Quote = { 
/**
 * The utterance.
 */
utterance_id: UtteranceId, 
/**
 * The revision of its words.
 */
revision: number, 
/**
 * What was said.
 */
text: string, };

export type PromptKind = "empathy" | "next_action" | "dead_air" | "overtalk" | "checklist";

export type HeldBackBecause = "matters_less" | "too_soon" | "not_helpful";

export type HeldBack = { 
/**
 * What it would have been about.
 */
about: PromptKind, 
/**
 * What it would have said, by BCP 47 language.
 */
text: { [key in string]: string }, 
/**
 * Why it was not shown.
 */
because: HeldBackBecause, };

export type Prompt = { 
/**
 * Its number within the call, from 1.
 */
prompt_id: number, 
/**
 * What it is about.
 */
about: PromptKind, 
/**
 * What it says, by BCP 47 language.
 */
text: { [key in string]: string }, 
/**
 * How much it matters, from 0 to 100.
 */
priority: number, 
/**
 * The words that it rests on.
 */
evidence: Quote, 
/**
 * When it helps no more.
 */
expires_at_ms: Millis, 
/**
 * What was not said in its place, or since the prompt before.
 */
held_back?: Array<HeldBack>, };

export type PromptAnswer = "accepted" | "dismissed" | "not_helpful";

export type PromptAnswered = { 
/**
 * Which prompt.
 */
prompt_id: number, 
/**
 * What was said of it.
 */
answer: PromptAnswer, 
/**
 * By whom. Empty where the reader is not to know that a supervisor is there.
 */
by: string, };

export type CardWhy = { 
/**
 * What was looked up: a stretch of the words that it rests on. Empty in logs of earlier versions.
 */
query?: string, 
/**
 * Words of the question that stand in it.
 */
words: Array<string>, 
/**
 * The share of the question, by what its words are worth, that these are: from 0 to 1.
 */
covered: number, 
/**
 * The cosine of the angle between its meaning and the question's; absent where meanings were not compared.
 */
cosine?: number, 
/**
 * The conversation mentions the document by its title.
 */
mentioned?: boolean, };

export type CardHeldBackBecause = "not_sure" | "shown" | "too_soon" | "full" | "wrong";

export type CardHeldBack = { 
/**
 * The document's title.
 */
title: string, 
/**
 * The headings that the passage stands under.
 */
section: Array<string>, 
/**
 * How likely it answers, from 0 to 1.
 */
confidence: number, 
/**
 * Why it was not shown.
 */
because: CardHeldBackBecause, 
/**
 * As [`Card::roles`].
 */
roles?: Array<string>, 
/**
 * As [`Card::teams`].
 */
teams?: Array<string>, };

export type CardNotShown = { 
/**
 * What was looked up: a stretch of the customer's words.
 */
query: string, 
/**
 * Why nothing is shown.
 */
because: CardHeldBackBecause, 
/**
 * How likely the best passage that was found answers, from 0 to 1.
 */
confidence: number, 
/**
 * The customer's words that were looked up.
 */
evidence: Quote, };

export type Card = { 
/**
 * Its number within the call, from 1.
 */
card_id: number, 
/**
 * The document's name in the hub.
 */
document: string, 
/**
 * The passage's place among those of its document, from 0.
 */
passage: number, 
/**
 * The document's title.
 */
title: string, 
/**
 * The headings that the passage stands under, the highest first.
 */
section: Array<string>, 
/**
 * The passage, or what stands around the answer in it.
 */
text: string, 
/**
 * The characters (Unicode scalar values) of the text that most likely answer; absent where nothing tells.
 */
answer?: Span, 
/**
 * When the document was last changed, in milliseconds since 1970 (UTC); 0 where nobody knows.
 */
changed_unix_ms: number, 
/**
 * How likely it answers, from 0 to 1.
 */
confidence: number, 
/**
 * Why it was found.
 */
why: CardWhy, 
/**
 * The customer's words that it rests on.
 */
evidence: Quote, 
/**
 * The roles that may see the document; none named: all of them.
 */
roles?: Array<string>, 
/**
 * The teams that may see the document; none named: all of them.
 */
teams?: Array<string>, 
/**
 * When it helps no more.
 */
expires_at_ms: Millis, 
/**
 * From the publication of the customer's words to that of this event.
 */
latency_ms: Millis, 
/**
 * What was not shown since the card before.
 */
held_back?: Array<CardHeldBack>, };

export type CardAnswer = "accepted" | "copied" | "dismissed" | "wrong";

export type CardAnswered = { 
/**
 * Which card.
 */
card_id: number, 
/**
 * What was said of it.
 */
answer: CardAnswer, 
/**
 * By whom. Empty where the reader is not to know that a supervisor is there.
 */
by: string, };

export type Step = { 
/**
 * The document's name in the hub.
 */
document: string, 
/**
 * The place of the procedure's first passage among those of its document, from 0.
 */
passage: number, 
/**
 * Tells the procedure's wording from others: a document that has changed has other steps.
 */
version: string, 
/**
 * The document's title.
 */
title: string, 
/**
 * Which step, from 1.
 */
step: number, 
/**
 * Its words, as they stood in the document.
 */
text: string, 
/**
 * It is done; otherwise it is not after all.
 */
ticked: boolean, 
/**
 * Who says so. Empty where the reader is not to know that a supervisor is there.
 */
by: string, 
/**
 * The roles that may see the document; none named: all of them.
 */
roles?: Array<string>, 
/**
 * The teams that may see the document; none named: all of them.
 */
teams?: Array<string>, };

export type ChecklistItem = { 
/**
 * The organisation's name for it.
 */
name: string, 
/**
 * What people call it, by BCP 47 language.
 */
title: { [key in string]: string }, 
/**
 * The agent has said it.
 */
done: boolean, 
/**
 * The words with which they did.
 */
evidence?: Quote, };

export type CallStarted = { 
/**
 * [`crate::FORMAT_VERSION`] of this log.
 */
version: number, 
/**
 * Where the audio comes from.
 */
source: Source, 
/**
 * Wall-clock time of the call's clock's zero, in milliseconds since 1970 (UTC).
 */
started_at_unix_ms: number, 
/**
 * The name others know the call by: SIP Call-ID, recording session id, file name.
 */
external_id: string, 
/**
 * The participants known at the start.
 */
participants: Array<Participant>, 
/**
 * BCP 47 code of the language spoken; absent when it is detected.
 */
language?: string | null, 
/**
 * The call goes through us, so that supervisors can come to it.
 */
bridged?: boolean, 
/**
 * Who says what is a guess: both parties were on one channel, and were told apart by their voices.
 */
parties_guessed?: boolean, 
/**
 * Headers of the call that the configuration keeps, by their configured names.
 */
headers?: { [key in string]: string }, };

export type CallEnded = { 
/**
 * Why.
 */
reason: EndReason, 
/**
 * From the first sample to the hang-up.
 */
duration_ms: Millis, };

export type EndReason = "hangup" | "timeout" | "agent_lost" | "shutdown" | "interrupted" | "fault";

export type LegStarted = { 
/**
 * Whose audio.
 */
party: Party, 
/**
 * RTP encoding name (`PCMU`, `opus`), or the file's format.
 */
codec: string, };

export type LegEnded = { 
/**
 * Whose audio.
 */
party: Party, 
/**
 * RTP packets received.
 */
packets: number, 
/**
 * Packets that never came, or came too late.
 */
lost: number, };

export type PartyChange = { 
/**
 * Whose audio; absent when all are meant.
 */
party?: Party | null, };

export type Participants = { 
/**
 * Everyone who is there from now on.
 */
participants: Array<Participant>, };

export type Dtmf = { 
/**
 * Who pressed it.
 */
party: Party, 
/**
 * `0`-`9`, `*`, `#`, `A`-`D`.
 */
digit: string, 
/**
 * How long it was held.
 */
duration_ms: Millis, };

export type Load = { 
/**
 * What is given up from now on.
 */
shedding: Shedding, 
/**
 * How far recognition is behind.
 */
behind_ms: Millis, };

export type Shedding = "none" | "fewer_partials" | "no_partials" | "late_finals";

export type Transferred = { 
/**
 * Whose place: the agent's when a call is handed over, the customer's when their side puts us through.
 */
party: Party, 
/**
 * Who has it now: an agent's name, or a number.
 */
to: string, };

export type Attention = "listen" | "whisper" | "barge";

export type Supervisor = { 
/**
 * Who.
 */
name: string, 
/**
 * What they do from now on; absent when they have left.
 */
attention?: Attention | null, };

export type Withheld = Record<symbol, never>;

export type AudioLost = { 
/**
 * Whose audio.
 */
party: Party, 
/**
 * Where it was meant to go.
 */
to: LostTo, 
/**
 * How much.
 */
lost_ms: Millis, };

export type LostTo = "speech" | "recording";

export type PartyTalk = { 
/**
 * Who.
 */
party: Party, 
/**
 * How long they spoke.
 */
talk_ms: Millis, 
/**
 * How often they began while somebody else spoke, and went on beside them.
 */
interruptions: number, };

export type Talk = { 
/**
 * Everybody who spoke.
 */
parties: Array<PartyTalk>, 
/**
 * How long two or more spoke at once.
 */
overlap_ms: Millis, 
/**
 * How long nobody spoke, from the first word to the last, without the time on hold.
 */
silence_ms: Millis, 
/**
 * Of this the silences that were long: dead air.
 */
dead_air_ms: Millis, };

export type EventBody = { "kind": "call_started" } & CallStarted | { "kind": "leg_started" } & LegStarted | { "kind": "leg_ended" } & LegEnded | { "kind": "utterance" } & Utterance | { "kind": "mood" } & Mood | { "kind": "consent" } & Consent | { "kind": "intent" } & Intent | { "kind": "entities" } & Entities | { "kind": "redacted" } & Redacted | { "kind": "prompt" } & Prompt | { "kind": "prompt_answered" } & PromptAnswered | { "kind": "card" } & Card | { "kind": "card_answered" } & CardAnswered | { "kind": "card_held_back" } & CardNotShown | { "kind": "step" } & Step | { "kind": "checklist" } & ChecklistItem | { "kind": "paused" } & PartyChange | { "kind": "resumed" } & PartyChange | { "kind": "participants" } & Participants | { "kind": "dtmf" } & Dtmf | { "kind": "transferred" } & Transferred | { "kind": "supervisor" } & Supervisor | { "kind": "withheld" } & Withheld | { "kind": "load" } & Load | { "kind": "audio_lost" } & AudioLost | { "kind": "talk" } & Talk | { "kind": "call_ended" } & CallEnded;

export type CallEvent = { 
/**
 * Position in the call's log, from 1, without gaps.
 */
seq: number, 
/**
 * When the event was published.
 */
at_ms: Millis, } & ({ "kind": "call_started" } & CallStarted | { "kind": "leg_started" } & LegStarted | { "kind": "leg_ended" } & LegEnded | { "kind": "utterance" } & Utterance | { "kind": "mood" } & Mood | { "kind": "consent" } & Consent | { "kind": "intent" } & Intent | { "kind": "entities" } & Entities | { "kind": "redacted" } & Redacted | { "kind": "prompt" } & Prompt | { "kind": "prompt_answered" } & PromptAnswered | { "kind": "card" } & Card | { "kind": "card_answered" } & CardAnswered | { "kind": "card_held_back" } & CardNotShown | { "kind": "step" } & Step | { "kind": "checklist" } & ChecklistItem | { "kind": "paused" } & PartyChange | { "kind": "resumed" } & PartyChange | { "kind": "participants" } & Participants | { "kind": "dtmf" } & Dtmf | { "kind": "transferred" } & Transferred | { "kind": "supervisor" } & Supervisor | { "kind": "withheld" } & Withheld | { "kind": "load" } & Load | { "kind": "audio_lost" } & AudioLost | { "kind": "talk" } & Talk | { "kind": "call_ended" } & CallEnded);

export type CallState = { 
/**
 * The newest event that is included.
 */
seq: number, 
/**
 * How the call began.
 */
started: CallStarted | null, 
/**
 * How it ended, absent while it is live.
 */
ended: CallEnded | null, 
/**
 * Parties whose audio has begun, with their codec.
 */
legs: Array<[Party, string]>, 
/**
 * Utterances in the order they began.
 */
utterances: Array<Utterance>, 
/**
 * What analysis is giving up just now.
 */
shedding: Shedding | null, 
/**
 * Parties that are paused or on hold.
 */
paused: Array<Party>, 
/**
 * Supervisors on the call, and what they do there.
 */
supervisors: Array<Supervisor>, 
/**
 * The customer's mood, utterance by utterance: the emotional arc of the call.
 */
moods: Array<Mood>, 
/**
 * Whether the customer agrees that their mood is read, where somebody has said so.
 */
consent?: Consent, 
/**
 * What the customer wanted, utterance by utterance.
 */
intents: Array<Intent>, 
/**
 * What was named, utterance by utterance.
 */
entities: Array<Entities>, 
/**
 * What was taken out of utterances.
 */
redactions: Array<Redacted>, 
/**
 * The newest prompt, until it is answered. Whether it has expired is for the one who shows it to see.
 */
prompt: Prompt | null, 
/**
 * The cards that stand, the oldest first; [`MOST_OPEN_CARDS`] at most. Whether one has expired is for the one who shows
 * it to see.
 */
cards: Array<Card>, 
/**
 * Steps of written procedures that are done, in the order in which they were.
 */
steps: Array<Step>, 
/**
 * What was looked up and is not shown, utterance by utterance.
 */
cards_not_shown: Array<CardNotShown>, 
/**
 * What must be said on this call, in the organisation's order.
 */
checklist: Array<ChecklistItem>, 
/**
 * How the call's time went, absent while it is live.
 */
talk: Talk | null, };
