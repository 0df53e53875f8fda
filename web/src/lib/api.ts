// What the page asks of the server over HTTP, and the one error that it can get back.

import type {
  ArcPoint,
  Attention,
  CallId,
  CallState,
  CallEvent,
  CardAnswer,
  EndReason,
  EntityKind,
  Millis,
  Participant,
  Party,
  PromptAnswer,
  Quality,
  Shedding,
  Source,
  Step,
  Turn,
} from './generated/call';
import type { InLine, Who } from './generated/phone';

export type { InLine };

export type Role = 'agent' | 'reviewer' | 'supervisor' | 'admin';

export interface User {
  name: string;
  role: Role;
}

/** A call as lists show it. */
export interface CallSummary {
  id: CallId;
  external_id: string;
  source: Source;
  state: 'live' | 'ended';
  started_at_unix_ms: number;
  duration_ms?: Millis | null;
  ended?: EndReason | null;
  participants: Participant[];
  last?: { party: Party; text: string; at_ms: Millis } | null;
  shedding?: Shedding | null;
  /** How the customer feels, as far as words tell; in lists of live calls only. */
  mood?: ArcPoint | null;
  /** What the customer wants, as they said last; in lists of live calls only. */
  intent?: { name: string; title: Record<string, string>; confidence: number } | null;
  utterances: number;
  recording: boolean;
  language?: string | null;
  /** It goes on through Sotto, so that supervisors can come to it. */
  bridged?: boolean;
  outcome?: Outcome | null;
  /** What supervisors see of it while it is live. */
  now?: LiveNow | null;
}

/** Where a live call stands, and what of it somebody should look at. */
export interface LiveNow {
  phase: 'connecting' | 'talking' | 'on_hold' | 'handing_over' | 'agent_lost';
  /** Since when it stands there, on the call's clock. */
  since_ms: Millis;
  /** Who is rung for it, or has come to it. */
  colleague?: string | null;
  supervisors: { name: string; attention: Attention }[];
  lines: { party: Party; quality: Quality }[];
  /** The most serious first, then what has lasted longer. */
  alerts: Alert[];
}

export type Severity = 'notice' | 'warning' | 'urgent';

/** Something about a live call that somebody should look at. */
export interface Alert {
  kind:
    | 'agent_lost'
    | 'not_recorded'
    | 'on_hold'
    | 'silent'
    | 'bad_line'
    | 'words_late'
    | 'unhappy'
    | 'wants'
    | 'said'
    | 'dead_air'
    | 'not_said';
  severity: Severity;
  party?: Party | null;
  /** Since when it is so, on the call's clock. */
  since_ms: Millis;
  /** What the customer wants, what was said, or what was not, as people call it, by language. */
  title?: Record<string, string>;
  /** What was said that it rests on. */
  evidence?: { utterance_id: number; text: string } | null;
}

/** How a call came out, as a person says. */
export interface Outcome {
  outcome: string;
  by: string;
  at_unix_ms: number;
}

/** Words of a call that something rests on. */
export interface Citation {
  utterance_id: number;
  party: Party;
  start_ms: Millis;
  /** Characters of the utterance's text. */
  chars: { start: number; end: number };
}

/** Something that was promised. */
export interface NextAction {
  type: 'callback' | 'message' | 'meeting' | 'payment' | 'task';
  /** As an entity of the kind `date_time` is written. */
  when: string | null;
  channel: 'phone' | 'sms' | 'email' | 'telegram' | null;
  to: string | null;
  by: Party;
  /** The sentence, as it was said. */
  text: string;
  citations: Citation[];
}

/** What a call came to: what the page shows of it. */
export interface CallInsight {
  summary_bullets: string[];
  urgency: 'low' | 'normal' | 'high';
  next_actions: NextAction[];
  /** How the customer's mood went; null where none was read, or it is not for the reader. */
  arc: { begins: number; ends: number; mean?: number; turns: Turn[] } | null;
  evidence: {
    summary_bullets: { citations: Citation[] }[];
    urgency: Citation[];
    /** Of each turn: where it began, then what was said just before. Absent, as `mean` is, in what was made long ago. */
    turns?: Citation[][];
    satisfied?: Citation[];
  };
  /** The language model that wrote the summary; absent where it is made of sentences that were said. */
  written_by?: { model: string };
  /** One is being asked, and its summary will stand here. */
  being_written?: boolean;
  /** Why a language model was asked in vain. */
  model_failed?: string;
}

/** How good a call was, by the questions of a scorecard. */
export interface CallQuality {
  /** From 0 to 1, of what could be judged. */
  total: number | null;
  questions: {
    name: string;
    title: Record<string, string>;
    score: number | null;
    /** Why there is no score. */
    not_judged?: 'no_agent' | 'did_not_happen' | 'no_checklist' | 'too_little';
    evidence: Citation[];
  }[];
}

/** What people say of the quality of a call. */
export interface QualityReviews {
  reviews: QualityReview[];
  replies: { by: string; at_unix_ms: number; text: string }[];
  /** Who wants the call to be looked at. */
  flagged_by?: string;
  /** Whoever asks may review the call. */
  may_review: boolean;
}

export interface QualityReview {
  reviewer: string;
  version: number;
  at_unix_ms: number;
  /** It is shown once whoever asks has reviewed the call, too. */
  hidden: boolean;
  verdict?: 'accepted' | 'corrected';
  scores: QualityScore[];
  comment: string;
}

/** What somebody says of a question of the scorecard, from 0 to 1, or nothing where it is not judged. */
export interface QualityScore {
  question: string;
  built_in: number | null;
  score: number | null;
  comment: string;
}

export type CallSentiment = 'positive' | 'neutral' | 'negative';

/** A call that was found. */
export interface FoundCall {
  call: CallSummary;
  agent?: string;
  intent?: string;
  intent_title: Record<string, string>;
  sentiment?: CallSentiment;
  score?: number;
  /** How many people have reviewed it. */
  reviews: number;
  flagged_by?: string;
  /** What was said that was looked for, and why each of it was found. */
  said: { utterance_id: number; party: Party; start_ms: Millis; text: string; found_by: FoundBy[] }[];
}

/** It has the words, or means the same. */
export type FoundBy = 'words' | 'meaning';

/** A page of calls that were found. */
export interface FoundCalls {
  /** Newest first; the best first where they were looked for by their meaning. */
  calls: FoundCall[];
  /** Whether they were: then there is no other page. False where there is no model for it. */
  by_meaning: boolean;
  /** Only the newest were compared by their meaning. */
  older_by_words: boolean;
}

/** How calls of a time went. */
export interface Dashboard {
  since_unix_ms: number;
  until_unix_ms: number;
  total: CallFigures;
  /** Days without calls are absent. */
  days: { begins_unix_ms: number; figures: CallFigures }[];
  intents: { intent: string; title: Record<string, string>; calls: number }[];
  tasks: Record<TaskState, number>;
}

export interface CallFigures {
  calls: number;
  length_ms: number | null;
  score: number | null;
  reviewed: number;
  /** Nothing for those who do not see moods. */
  moods: Record<CallSentiment, number> | null;
  agent_ms: number;
  customer_ms: number;
  silence_ms: number;
  latency_ms: number | null;
  /** How probable recognition held a word. */
  certainty: number | null;
  lost_ms: number;
}

/** How far judgements agree. */
export interface AgreementFigures {
  units: number;
  share: number;
  /** Krippendorff’s; nothing where nobody ever judges otherwise. */
  alpha: number | null;
}

export interface AgreementPair {
  /** With each other. */
  people: AgreementFigures | null;
  /** With the scorecard. */
  built_in: AgreementFigures | null;
}

export interface QualityAgreement {
  all: AgreementPair;
  questions: { question: string; title: Record<string, string>; agreement: AgreementPair }[];
}

/** What customers may want, as it is recognised and taught. */
export interface IntentList {
  learning: 'done' | 'going' | 'waiting';
  intents: TaughtIntent[];
  /** Sentences that are none of them. */
  none: IntentExample[];
}

export interface TaughtIntent {
  name: string;
  /** What people call it, by language. */
  title: Record<string, string>;
  /** Supervisors are told while the call goes on. */
  alert: boolean;
  /** What agents do for who wants it, step by step. */
  playbook: PlaybookStep[];
  in_file: boolean;
  /** It has enough examples to be recognised. */
  learnable: boolean;
  examples: IntentExample[];
}

export interface PlaybookStep {
  /** What to do, by language. */
  text: Record<string, string>;
  /** It is done once such a thing has been named on the call. */
  until?: EntityKind;
}

export interface IntentExample {
  text: string;
  /** Who added it, and when; absent where it comes from the configured file. */
  by?: string;
  at_unix_ms?: number;
}

/** What is written down, as far as it is for whoever asks. */
export interface DocumentList {
  documents: ListedDocument[];
  /** Whoever asks may upload some, and remove those that were. */
  editable: boolean;
  /** The teams there are, for whoever may. */
  teams: string[];
}

export interface ListedDocument {
  /** What it is known by. */
  id: string;
  title: string;
  source: 'folder' | 'page' | 'upload';
  /** Found by words and meaning, by words so far, or not at all. */
  state: 'ready' | 'words' | 'failed';
  changed_unix_ms: number;
  bytes: number;
  version: number;
  passages: number;
  /** Why it cannot be read, or what of it cannot. */
  problem?: string;
  /** Only these see it; everybody if there are none. */
  roles: Role[];
  teams: string[];
}

/** Somebody who may sign in. */
export interface Person {
  name: string;
  role: Role;
  /** Absent for those who are in none. */
  team?: string;
  created_at_unix_ms: number;
  /** Kept out. */
  disabled: boolean;
}

export interface Team {
  name: string;
  /** What the configuration has it see; it is renamed there. */
  configured?: { folders: string[]; pages: boolean };
}

/** The teams, and all that could be in them. */
export interface Teams {
  teams: Team[];
  people: Person[];
  /** With the teams that see them; for all without any. */
  documents: ListedDocument[];
}

/** A passage that may answer a question. */
export interface FoundPassage {
  document: string;
  title: string;
  headings: string[];
  text: string;
  language: string;
  changed_unix_ms: number;
  /** From 0 to 1; `sure` is whether that is enough. */
  confidence: number;
  sure: boolean;
  why: {
    /** The question's words that it has. */
    words: string[];
    covered: number;
    bm25: number;
    rank_by_words?: number;
    cosine?: number;
    rank_by_meaning?: number;
    /** What the meaning counted, from 0 to 1. */
    share: number;
    /** The question mentions the document by its title. */
    mentioned: boolean;
    /** How well it answers by the cross-encoder that has put the best into its order. */
    reranked?: number;
  };
}

export type GapState = 'open' | 'answered' | 'hidden';

/** Questions that ask the same, and that nothing written down answers. */
export interface Gap {
  id: string;
  /** Open, also where it was answered, and was asked again since, or its document is gone. */
  state: GapState;
  count: number;
  /** How often since somebody decided about it. */
  count_since: number;
  last_asked_unix_ms: number;
  /** What answers it, or was to. */
  document?: { id: string; title: string };
  /** Empty where nobody has decided anything. */
  changed_by: string;
  /** The newest of them. */
  questions: GapQuestion[];
}

export interface GapQuestion {
  text: string;
  asked_at_unix_ms: number;
  /** Of the best passage, from 0 to 1. */
  confidence: number;
  /** Absent where somebody looked it up. */
  call_id?: CallId;
  utterance_id?: number;
}

export type GapList = Record<GapState, number> & { gaps: Gap[] };

export type Concern = 'failed' | 'wrong' | 'old' | 'never_shown' | 'never_used';

/** How the documents do, those with most to see to first; and what disagrees. */
export interface KnowledgeHealth {
  old_after_days: number;
  documents: DocumentHealth[];
  conflicts: { newer: FoundSentence; older: FoundSentence }[];
}

export interface DocumentHealth {
  id: string;
  title: string;
  changed_unix_ms: number;
  /** Cards that showed it, and what became of them. */
  shown: number;
  accepted: number;
  copied: number;
  dismissed: number;
  wrong: number;
  /** How often it answered what somebody looked up. */
  found: number;
  concerns: Concern[];
}

export interface FoundSentence {
  document: string;
  title: string;
  headings: string[];
  text: string;
  changed_unix_ms: number;
}

/** An answer in sentences, or why there is none. */
export interface AssistAnswer {
  /** Each with the numbers of the passages that it rests on. */
  sentences: { text: string; passages: number[] }[];
  passages: CitedPassage[];
  /** Whose words the sentences are. */
  by: 'passages' | 'model';
  refused: 'nothing_found' | 'not_in_passages' | 'unsupported' | 'other_language' | null;
  model: { model: string; took_ms: number } | null;
  /** Why a model was asked in vain. */
  model_failed: string | null;
}

/** A passage that sentences name by its number. */
export interface CitedPassage {
  number: number;
  document: string;
  /** Its place among the document's passages. */
  place: number;
  /** The document's title and the headings that it stands under. */
  above: string;
  text: string;
  changed_unix_ms: number;
  confidence: number;
}

/** A message or an e-mail to a customer to begin with: an answer between a greeting and a closing. */
export interface Draft extends AssistAnswer {
  /** Of an e-mail. */
  subject: string | null;
  greeting: string;
  closing: string;
  /** What was named on the call, which sentences name by its number as they name passages. */
  facts: DraftFact[];
}

export interface DraftFact {
  number: number;
  kind: EntityKind;
  text: string;
  utterance_id: number;
}

export const DRAFT_TONES = ['formal', 'friendly', 'brief'] as const;
export const DRAFT_CHANNELS = ['message', 'email'] as const;

/** How a draft is to be. */
export interface DraftWish {
  tone: (typeof DRAFT_TONES)[number];
  channel: (typeof DRAFT_CHANNELS)[number];
  language: 'en' | 'fa';
  /** What it is about; absent: what the customer has asked last. */
  about?: string;
}

/** A written procedure as steps; none where the passage is no procedure. */
export interface Pathway {
  document: string;
  /** The place of its first passage. */
  passage: number;
  /** Tells its wording from others. */
  version: string;
  title: string;
  headings: string[];
  changed_unix_ms: number;
  steps: PathwayStep[];
}

export interface PathwayStep {
  /** Empty where the step is a condition alone. */
  action: string;
  /** Something is looked at or asked. */
  check: boolean;
  branches: { when: string; then: string }[];
}

export type JobState = 'waiting' | 'running' | 'done' | 'dead';

/** Something that is done after a call. */
export interface Job {
  id: string;
  call_id: CallId;
  step: 'review' | 'write';
  state: JobState;
  /** Since it was queued last. */
  tries: number;
  /** When it may be tried. */
  due_at_unix_ms: number;
  /** When it was queued, begun or ended last. */
  changed_at_unix_ms: number;
  /** Why the last try failed. */
  error?: string;
}

/** How many there are in each state, and the newest of those that were asked for. */
export type JobList = Record<JobState, number> & { jobs: Job[] };

/** A recording of a call that was made elsewhere. */
export interface Recording {
  id: string;
  /** The call it becomes. */
  call_id: CallId;
  name: string;
  /** When the call began. */
  started_at_unix_ms: number;
  state: JobState;
  /** Since it was queued last. */
  tries: number;
  /** When it may be tried. */
  due_at_unix_ms: number;
  added_at_unix_ms: number;
  /** When it was queued, begun or ended last. */
  changed_at_unix_ms: number;
  added_by: string;
  /** Why the last try failed. */
  error?: string;
}

/** How many there are in each state, and the newest of those that were asked for. */
export type RecordingList = Record<JobState, number> & { recordings: Recording[] };

/** What is known of recordings that are uploaded. */
export interface NewRecording {
  agent: string;
  /** The customer's. */
  number: string;
  direction: 'inbound' | 'outbound';
  /** A voice note: nobody speaks but the customer. */
  alone: boolean;
}

export type DeliveryState = 'waiting' | 'done' | 'dead';

/** Who is told of what happens, and how many deliveries are in each state. */
export type Endpoint = Record<DeliveryState, number> & { name: string; origin: string; kinds: string[] };

/** Something that an endpoint is told. */
export interface Delivery {
  id: string;
  endpoint: string;
  /** What happened: `call.ended`, for example. */
  kind: string;
  call_id?: CallId;
  at_unix_ms: number;
  state: DeliveryState;
  /** Since it was queued last. */
  tries: number;
  /** When it may be tried. */
  due_at_unix_ms: number;
  /** When it was queued or tried last. */
  changed_at_unix_ms: number;
  took_ms?: number;
  /** The status of the last answer. */
  code?: number;
  /** Why the last try failed. */
  error?: string;
}

/** Who is told, and the newest deliveries of those that were asked for. */
export interface WebhookList {
  endpoints: Endpoint[];
  deliveries: Delivery[];
}

export type ContactStage = 'new' | 'contacted' | 'qualified' | 'converted' | 'lost';
export type ContactKind = 'lead' | 'representative';

/** What people write down of a contact. */
export interface LeadFields {
  kind: ContactKind;
  stage: ContactStage;
  name: string;
  /** The usual one first. */
  phones: string[];
  email?: string;
  /** The company they belong to. */
  company_id?: string;
  /** The user who looks after them. */
  owner?: string;
  notes: string;
  /** What else, by the organisation's names for it. */
  fields: Record<string, string>;
}

/** A rule that speaks for a lead, or against them. */
export type ScoreRule =
  | 'stage_contacted'
  | 'stage_qualified'
  | 'stage_converted'
  | 'stage_lost'
  | 'spoke_of_interest'
  | 'spoke_of_buying'
  | 'spoke_against'
  | 'urgent'
  | 'unhurried'
  | 'names_course'
  | 'names_budget'
  | 'this_week'
  | 'this_month'
  | 'often'
  | 'quiet'
  | 'unreachable';

/** How promising a lead is, 0 to 100, and why. */
export interface LeadScore {
  points: number;
  /** The entry is that of the timeline that a reason rests on. */
  reasons: { rule: ScoreRule; points: number; entry_id?: string }[];
}

/** Whoever calls, or is called. */
export interface Lead extends LeadFields {
  id: string;
  company_name?: string;
  active_at_unix_ms: number;
  /** Absent for representatives. */
  score?: LeadScore;
  /** Whoever changes them says which one they have seen. */
  version: number;
}

/** Whom contacts belong to. */
export interface Company {
  id: string;
  name: string;
  /** Its own, those of nobody in particular. */
  phones: string[];
  notes: string;
  version: number;
}

/** What went with a person: calls answered or not; those left could not be removed. */
export interface Erased {
  calls: number;
  left: number;
  missed: number;
  recordings: number;
}

/** What became of a table: all of its rows are added, or none. */
export interface Imported {
  added: number;
  problems: { line: number; message: string }[];
}

/** A page of contacts, and where the next begins. */
export interface LeadList {
  leads: Lead[];
  next?: string;
}

export type CommunicationType = 'call_summary' | 'call' | 'voice_note' | 'note' | 'email' | 'sms' | 'telegram' | 'meeting';

/** What was said to a contact, or by them. */
export interface TimelineEntry {
  id: string;
  type: CommunicationType;
  /** `ai` where it was drawn from something by a program. */
  source: 'ai' | 'person';
  at_unix_ms: number;
  by?: string;
  call_id?: CallId;
  content: string;
  tags: string[];
  metadata: { lead_stage_suggestion?: ContactStage };
}

export interface Timeline {
  communication: TimelineEntry[];
  next?: string;
}

/** A page of tasks, and where the next begins. */
export interface TaskList {
  tasks: Task[];
  next?: string;
}

export type TaskState = 'proposed' | 'open' | 'done' | 'dismissed';

/** What somebody is to do, as it is written down. */
export interface TaskFields {
  type: NextAction['type'];
  title?: string;
  channel?: 'phone' | 'sms' | 'email' | 'telegram';
  to?: string;
  due_at_unix_ms?: number;
  priority?: 'low' | 'normal' | 'high';
  assignee?: string;
}

/** Something that is to be done for a contact. */
export interface Task extends TaskFields {
  id: string;
  lead_id: string;
  lead_name: string;
  call_id?: CallId;
  /** The words that promised it. */
  quote?: string;
  state: TaskState;
  version: number;
}

export const MESSAGE_CHANNELS = ['sms', 'telegram', 'email', 'webhook', 'call_message'] as const;
export type MessageChannel = (typeof MESSAGE_CHANNELS)[number];
/** By what a contact does not want to be written to. */
export type OptOuts = {
  /** Of a change, the one that was seen. */
  version: number;
  channels: MessageChannel[];
};

export type TicketState = 'open' | 'waiting' | 'resolved' | 'closed';

/** What is to be put right, as it is written down. */
export interface TicketFields {
  title: string;
  text?: string;
  priority?: 'low' | 'normal' | 'high';
  assignee?: string;
}

/** Something that is to be put right for a contact. */
export interface Ticket extends TicketFields {
  id: string;
  lead_id: string;
  state: TicketState;
  text: string;
  /** What has put it right; empty where that is not known. */
  resolution: string;
  made_at_unix_ms: number;
  changed_at_unix_ms: number;
  version: number;
}

/** A page of tickets, and where the next begins. */
export interface TicketList {
  tickets: Ticket[];
  next?: string;
}

export type PaymentState = 'due' | 'paid' | 'refunded' | 'cancelled';

/** What a contact pays, as it is written down. */
export interface PaymentFields {
  /** A decimal. */
  amount: string;
  /** ISO 4217, or `toman`, which is kept as rials. */
  currency: string;
  about?: string;
  /** What it is known by elsewhere. */
  reference?: string;
  due_at_unix_ms?: number;
  /** Where it was paid. */
  paid_at_unix_ms?: number;
}

/** Something that a contact pays. */
export interface Payment extends PaymentFields {
  id: string;
  lead_id: string;
  state: PaymentState;
  about: string;
  made_at_unix_ms: number;
  version: number;
}

/** A page of payments, and where the next begins. */
export interface PaymentList {
  payments: Payment[];
  next?: string;
}

/** What a line of a preparation is about; the last three are suggested. */
export type PreparationSection = 'who' | 'happened' | 'promised' | 'open' | 'opening' | 'goals' | 'avoid';

/** By what rule a line of a preparation is there. */
export type PreparationRule =
  | 'stage'
  | 'company'
  | 'notes'
  | 'called'
  | 'said'
  | 'promised'
  | 'promised_late'
  | 'undone'
  | 'ticket'
  | 'ticket_urgent'
  | 'owes'
  | 'owes_late'
  | 'begin_promise'
  | 'begin_trouble'
  | 'begin_ticket'
  | 'begin_last'
  | 'begin_new'
  | 'settle_promise'
  | 'settle_ticket'
  | 'settle_payment'
  | 'find_needs'
  | 'next_step'
  | 'ask_well'
  | 'ask_why'
  | 'no_channel'
  | 'no_selling'
  | 'no_pressure';

export interface PreparedLine {
  section: PreparationSection;
  rule: PreparationRule;
  /** What is written or was said where it comes from; of a stage and a channel its name. */
  text?: string;
  at_unix_ms?: number;
  amount?: string;
  currency?: string;
  /** Of a task what it is. */
  task?: NextAction['type'];
  /** Of a call how the customer felt, for those who see that. */
  feeling?: CallSentiment;
  from: { what: 'contact' | 'entry' | 'task' | 'ticket' | 'payment'; id: string; call_id?: CallId };
}

/** What somebody should know who is about to talk with a contact. */
export interface Preparation {
  lines: PreparedLine[];
  /** What somebody has written down besides. */
  kept?: { text: string; by: string; at_unix_ms: number };
  /** 0 where there is nothing. */
  version: number;
}


export type FollowUpState =
  | 'drafted'
  | 'approved'
  | 'sending'
  | 'sent'
  | 'failed'
  | 'dead'
  | 'unknown'
  | 'dismissed';

/** What is sent to a contact. */
export interface FollowUpFields {
  channel: MessageChannel;
  to?: string;
  /** What an e-mail is about. */
  subject?: string;
  text: string;
  not_before_unix_ms?: number;
}

/** A message to a contact. */
export interface FollowUp extends FollowUpFields {
  id: string;
  lead_id: string;
  lead_name: string;
  call_id?: CallId;
  state: FollowUpState;
  /** Absent where it was drawn from a call. */
  made_by?: string;
  decided_by?: string;
  changed_at_unix_ms: number;
  /** When it is tried at the earliest, once it is approved. */
  due_at_unix_ms?: number;
  /** Why the last try failed. */
  error?: string;
  version: number;
}

/** A page of messages, by what they can be sent, and where the next page begins. */
export interface FollowUpList {
  follow_ups: FollowUp[];
  channels: MessageChannel[];
  next?: string;
}

/** A call that nobody answered. */
export interface MissedCall {
  id: string;
  at_unix_ms: number;
  called: string;
  aor?: string | null;
  name?: string | null;
  waited_ms: number;
}

/** Whom calls can be put through to. */
export interface Desk {
  agents: Who[];
  numbers: string[];
  /** In the order in which they came. */
  waiting: InLine[];
}

/** How the installation is doing. */
export interface Status {
  version: string;
  speech?: { shedding?: Shedding | null; behind_ms?: Millis | null } | null;
  calls?: { live?: number; max?: number } | null;
  /** What customers' moods are read for, by language, and who sees them. */
  moods?: { is_read: boolean; purpose: Record<string, string>; kept_days: number; seen_by: Role[] } | null;
  /** Why no calls are taken, by what is not there: `sip`, `store`. */
  waiting?: Record<string, string> | null;
  /** What calls do without just now, and why: `speech`, `store`, `recording`, `disk`, `insight`, … */
  degraded?: Record<string, string> | null;
}

/** Frames of `WS /api/calls/{id}/live`. */
export type CallMessage =
  { type: 'snapshot'; state: CallState } | { type: 'event'; event: CallEvent } | { type: 'end' } | Ping;

/** Frames of `WS /api/live`. */
export type CallsMessage =
  { type: 'calls'; calls: CallSummary[] } | { type: 'call'; call: CallSummary } | Ping;

interface Ping {
  type: 'ping';
  at_unix_ms: number;
}

/** An answer that is not the one asked for. `status` 0: no answer came at all. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    /** Seconds after which the server wants to be asked again, where it said so. */
    readonly retryAfterS: number | null = null,
  ) {
    super(message);
  }

  get unreachable(): boolean {
    // A proxy in front of a stopped server answers 502 to 504 in its place.
    return this.status === 0 || (this.status >= 502 && this.status <= 504 && !this.storeless);
  }

  /** The server answers, and its database does not. */
  get storeless(): boolean {
    return this.status === 503 && this.code === 'store';
  }
}

/** The address of `path` below the page, whatever path a reverse proxy put the page under. */
export function address(path: string): string {
  return new URL(path, document.baseURI.split('#')[0]).href;
}

/** The same for a WebSocket. */
export function socketAddress(path: string): string {
  return address(path).replace(/^http/, 'ws');
}

async function request(
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<Response> {
  let response: Response;
  // A file goes as it is, everything else as JSON.
  const file = body instanceof Blob ? body : null;
  const type = file ? file.type || 'application/octet-stream' : 'application/json';
  try {
    response = await fetch(address(path), {
      method,
      credentials: 'same-origin',
      headers: body === undefined ? {} : { 'content-type': type },
      ...(body === undefined ? {} : { body: file ?? JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new ApiError(0, 'unreachable', 'no answer');
  }
  if (response.ok) return response;
  const retryAfter = Number(response.headers.get('retry-after'));
  let code = `http_${response.status}`;
  let message = response.statusText;
  try {
    const answer = (await response.json()) as { error?: { code?: string; message?: string } };
    code = answer.error?.code ?? code;
    message = answer.error?.message ?? message;
  } catch {
    // Not one of the server's own answers; the status says enough.
  }
  throw new ApiError(
    response.status,
    code,
    message,
    Number.isFinite(retryAfter) && retryAfter > 0 ? retryAfter : null,
  );
}

async function json<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const response = await request(method, path, body, signal);
  try {
    return (await response.json()) as T;
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new ApiError(response.status, 'not_json', 'the answer was cut short or is not from Sotto');
  }
}

const call = (id: CallId) => `api/calls/${encodeURIComponent(id)}`;
const written = (id: string) => `api/knowledge/documents/${encodeURIComponent(id)}`;
const lead = (id: string) => `api/leads/${encodeURIComponent(id)}`;
const followUp = (id: string) => `api/follow-ups/${encodeURIComponent(id)}`;
const intent = (name: string) => `api/intents/${encodeURIComponent(name)}`;

export const api = {
  async session(): Promise<User> {
    const answer = await json<User | { user: User }>('GET', 'api/session');
    return 'user' in answer ? answer.user : answer;
  },
  async signIn(name: string, password: string): Promise<User> {
    return (await json<{ user: User }>('POST', 'api/session', { name, password })).user;
  },
  async signOut(): Promise<void> {
    await request('DELETE', 'api/session');
  },
  status: () => json<Status>('GET', 'api/status'),

  async calls(state: 'live' | 'ended', limit: number, before?: CallId): Promise<CallSummary[]> {
    const query = new URLSearchParams({ state, limit: String(limit), ...(before ? { before } : {}) });
    return (await json<{ calls: CallSummary[] }>('GET', `api/calls?${query}`)).calls;
  },
  call: (id: CallId, signal?: AbortSignal) =>
    json<{ call: CallSummary; state: CallState; supervisors_recorded?: boolean }>(
      'GET',
      call(id),
      undefined,
      signal,
    ),

  /** Every event of a call, one at a time as they arrive, so that a long call is never held twice. */
  async *events(id: CallId, from: number, signal: AbortSignal): AsyncGenerator<CallEvent> {
    const response = await request('GET', `${call(id)}/events?from=${from}`, undefined, signal);
    if (!response.body) return;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const lines = (rest + value).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line.trim()) yield JSON.parse(line) as CallEvent;
    }
    if (rest.trim()) yield JSON.parse(rest) as CallEvent;
  },
  insight: (id: CallId, signal?: AbortSignal) =>
    json<CallInsight>('GET', `${call(id)}/insight`, undefined, signal),
  quality: (id: CallId, signal?: AbortSignal) =>
    json<CallQuality>('GET', `${call(id)}/quality`, undefined, signal),
  qualityReviews: (id: CallId, signal?: AbortSignal) =>
    json<QualityReviews>('GET', `${call(id)}/quality/reviews`, undefined, signal),
  /** As the version after the one that was seen. What is absent of the scores is as the scorecard says. */
  reviewQuality: (id: CallId, version: number, scores: Omit<QualityScore, 'built_in'>[], comment: string) =>
    json<QualityReview>('PUT', `${call(id)}/quality/review`, { version, scores, comment }),
  async replyToReviews(id: CallId, text: string): Promise<void> {
    await request('POST', `${call(id)}/quality/replies`, { text });
  },
  async flagCall(id: CallId, flagged: boolean): Promise<void> {
    await request('PUT', `${call(id)}/flag`, { flagged });
  },
  findCalls: (query: Record<string, string>, signal?: AbortSignal) =>
    json<FoundCalls>('GET', `api/review/calls?${new URLSearchParams(query)}`, undefined, signal),
  dashboard: (since: number, signal?: AbortSignal) =>
    json<Dashboard>('GET', `api/dashboard?since_unix_ms=${since}`, undefined, signal),
  agreement: (since: number, signal?: AbortSignal) =>
    json<QualityAgreement>('GET', `api/quality/agreement?since_unix_ms=${since}`, undefined, signal),
  examplesAddress: () => address('api/quality/examples'),
  setOutcome: (id: CallId, outcome: string) => json<Outcome>('PUT', `${call(id)}/outcome`, { outcome }),
  /** Whether the customer agrees that their mood is read. */
  async setConsent(id: CallId, mood: boolean): Promise<void> {
    await request('POST', `${call(id)}/consent`, { mood });
  },
  async answerPrompt(id: CallId, prompt: number, answer: PromptAnswer): Promise<void> {
    await request('POST', `${call(id)}/prompts/${prompt}/answer`, { answer });
  },
  async answerCard(id: CallId, card: number, answer: CardAnswer): Promise<void> {
    await request('POST', `${call(id)}/cards/${card}/answer`, { answer });
  },
  desk: (signal?: AbortSignal) => json<Desk>('GET', 'api/desk', undefined, signal),
  async missed(signal?: AbortSignal): Promise<MissedCall[]> {
    return (await json<{ missed: MissedCall[] }>('GET', 'api/missed', undefined, signal)).missed;
  },
  async handleMissed(id: string): Promise<void> {
    await request('PUT', `api/missed/${encodeURIComponent(id)}/handled`, {});
  },
  intents: (signal?: AbortSignal) => json<IntentList>('GET', 'api/intents', undefined, signal),
  async addIntent(name: string, title: Record<string, string>, alert: boolean): Promise<void> {
    await request('POST', 'api/intents', { name, title, alert });
  },
  async renameIntent(name: string, title: Record<string, string>, alert: boolean): Promise<void> {
    await request('PUT', intent(name), { title, alert });
  },
  async setPlaybook(name: string, steps: PlaybookStep[]): Promise<void> {
    await request('PUT', `${intent(name)}/playbook`, { steps });
  },
  async removeIntent(name: string): Promise<void> {
    await request('DELETE', intent(name));
  },
  /** Without an intent it is an example of none. `said` is where it was. */
  async addExample(
    intent: string | null,
    text: string,
    said?: { call_id: CallId; utterance_id: number },
  ): Promise<void> {
    await request('POST', 'api/intent-examples', { intent, text, ...said });
  },
  async removeExample(text: string): Promise<void> {
    await request('DELETE', 'api/intent-examples', { text });
  },
  documents: (signal?: AbortSignal) => json<DocumentList>('GET', 'api/knowledge/documents', undefined, signal),
  async documentText(id: string, signal?: AbortSignal): Promise<string> {
    return (await json<{ text: string }>('GET', written(id), undefined, signal)).text;
  },
  /** Without roles and teams it is for everybody. Out of tickets people are taken. */
  async uploadDocument(file: File, roles: Role[], teams: string[], tickets: boolean): Promise<void> {
    const [forRoles, forTeams] = [roles.join(','), teams.join(',')];
    const query = new URLSearchParams({ name: file.name, roles: forRoles, teams: forTeams, tickets: String(tickets) });
    await request('POST', `api/knowledge/documents?${query}`, file);
  },
  async removeDocument(id: string): Promise<void> {
    await request('DELETE', written(id));
  },
  /** Only these teams see it; all without any. */
  async showDocument(id: string, teams: string[]): Promise<void> {
    await request('PATCH', written(id), { teams });
  },
  teams: (signal?: AbortSignal) => json<Teams>('GET', 'api/teams', undefined, signal),
  async renameTeam(name: string, to: string): Promise<void> {
    await request('PATCH', `api/teams/${encodeURIComponent(name)}`, { name: to });
  },
  /** Without a team they are in none. */
  async putIntoTeam(person: string, team: string): Promise<void> {
    await request('PATCH', `api/users/${encodeURIComponent(person)}`, { team });
  },
  gaps: (state: GapState, signal?: AbortSignal) =>
    json<GapList>('GET', `api/knowledge/gaps?state=${state}`, undefined, signal),
  /** With a document if it is answered, and without one otherwise. */
  async decideGap(id: string, state: GapState, document?: string): Promise<void> {
    await request('PUT', `api/knowledge/gaps/${encodeURIComponent(id)}`, { state, document });
  },
  knowledgeHealth: (signal?: AbortSignal) =>
    json<KnowledgeHealth>('GET', 'api/knowledge/health', undefined, signal),
  async search(query: string): Promise<FoundPassage[]> {
    return (await json<{ snippets: FoundPassage[] }>('POST', 'api/ai/assist/search', { query })).snippets;
  },
  answer: (question: string, call: CallId | null, signal: AbortSignal) =>
    json<AssistAnswer>(
      'POST',
      'api/ai/assist/answer',
      { question, ...(call === null ? {} : { callId: call }) },
      signal,
    ),
  draft: (call: CallId, wish: DraftWish, signal: AbortSignal) =>
    json<Draft>('POST', 'api/ai/assist/draft', { callId: call, ...wish }, signal),
  pathway: (document: string, passage: number, signal: AbortSignal) =>
    json<Pathway>(
      'GET',
      `api/knowledge/pathways/${encodeURIComponent(document)}?passage=${passage}`,
      undefined,
      signal,
    ),
  async tickStep(
    id: CallId,
    step: Pick<Step, 'document' | 'passage' | 'version' | 'step' | 'ticked'>,
  ): Promise<void> {
    await request('POST', `${call(id)}/steps`, step);
  },
  leads: (query: Record<string, string>, signal?: AbortSignal) =>
    json<LeadList>('GET', `api/leads?${new URLSearchParams(query)}`, undefined, signal),
  lead: (id: string, signal?: AbortSignal) => json<Lead>('GET', lead(id), undefined, signal),
  addLead: (fields: Partial<LeadFields> & { name: string }) => json<Lead>('POST', 'api/leads', fields),
  changeLead: (id: string, version: number, fields: LeadFields) =>
    json<Lead>('PUT', lead(id), { version, ...fields }),
  async removeLead(id: string, version: number): Promise<void> {
    await request('DELETE', `${lead(id)}?version=${version}`);
  },
  /** Where all that is kept of a contact is downloaded. */
  exportOf: (id: string) => address(`${lead(id)}/export`),
  eraseLead: (id: string) => json<Erased>('POST', `${lead(id)}/erase`),
  mergeLeads: (kept: Lead, other: Lead) =>
    json<Lead>('POST', `${lead(kept.id)}/merge`, {
      version: kept.version,
      other: other.id,
      other_version: other.version,
    }),
  async companies(signal?: AbortSignal): Promise<Company[]> {
    return (await json<{ companies: Company[] }>('GET', 'api/companies?limit=200', undefined, signal)).companies;
  },
  addCompany: (name: string, phones: string[]) => json<Company>('POST', 'api/companies', { name, phones }),
  async removeCompany({ id, version }: Company): Promise<void> {
    await request('DELETE', `api/companies/${encodeURIComponent(id)}?version=${version}`);
  },
  importLeads: (file: File) => json<Imported>('POST', 'api/leads/import', file),
  timeline: (id: string, before: string | null, signal?: AbortSignal) =>
    json<Timeline>(
      'GET',
      `${lead(id)}/communication${before === null ? '' : `?before=${before}`}`,
      undefined,
      signal,
    ),
  addNote: (id: string, content: string) =>
    json<TimelineEntry>('POST', `${lead(id)}/communication`, { type: 'note', content }),
  tasks: (query: Record<string, string>, signal?: AbortSignal) =>
    json<TaskList>('GET', `api/tasks?${new URLSearchParams(query)}`, undefined, signal),
  addTask: (id: string, fields: TaskFields) => json<Task>('POST', 'api/tasks', { lead_id: id, ...fields }),
  changeTask: (id: string, version: number, state: TaskState, fields: TaskFields) =>
    json<Task>('PUT', `api/tasks/${encodeURIComponent(id)}`, { version, state, ...fields }),
  /** A recording on which nobody speaks but the contact; its words are on the timeline once it has been listened to. */
  async addVoiceNote(id: string, file: File, language: string): Promise<void> {
    const query = new URLSearchParams({ name: file.name, started_at: new Date(file.lastModified).toISOString() });
    if (language) query.set('language', language);
    await request('POST', `${lead(id)}/voice-notes?${query}`, file);
  },
  tickets: (id: string, before: string | null, signal?: AbortSignal) =>
    json<TicketList>('GET', `${lead(id)}/tickets${before === null ? '' : `?before=${before}`}`, undefined, signal),
  addTicket: (id: string, fields: TicketFields) => json<Ticket>('POST', `${lead(id)}/tickets`, fields),
  changeTicket: (id: string, version: number, state: TicketState, fields: TicketFields & { resolution: string }) =>
    json<Ticket>('PUT', `api/tickets/${encodeURIComponent(id)}`, { version, state, ...fields }),
  payments: (id: string, before: string | null, signal?: AbortSignal) =>
    json<PaymentList>('GET', `${lead(id)}/payments${before === null ? '' : `?before=${before}`}`, undefined, signal),
  addPayment: (id: string, fields: PaymentFields & { state?: PaymentState }) => json<Payment>('POST', `${lead(id)}/payments`, fields),
  changePayment: (id: string, version: number, state: PaymentState, fields: PaymentFields) =>
    json<Payment>('PUT', `api/payments/${encodeURIComponent(id)}`, { version, state, ...fields }),
  importPayments: (file: File) => json<Imported>('POST', 'api/payments/import', file),
  preparation: (id: string, signal?: AbortSignal) =>
    json<Preparation>('GET', `${lead(id)}/preparation`, undefined, signal),
  keepPreparation: (id: string, version: number, text: string) =>
    json<Preparation>('PUT', `${lead(id)}/preparation`, { version, text }),
  followUps: (query: Record<string, string>, signal?: AbortSignal) =>
    json<FollowUpList>('GET', `api/follow-ups?${new URLSearchParams(query)}`, undefined, signal),
  addFollowUp: (id: string, fields: FollowUpFields) =>
    json<FollowUp>('POST', 'api/follow-ups', { lead_id: id, ...fields }),
  changeFollowUp: (id: string, version: number, fields: FollowUpFields) =>
    json<FollowUp>('PUT', followUp(id), { version, ...fields }),
  decideFollowUp: (id: string, version: number, what: 'approve' | 'dismiss') =>
    json<FollowUp>('POST', `${followUp(id)}/${what}`, { version }),
  resolveFollowUp: (id: string, version: number, sent: boolean) =>
    json<FollowUp>('POST', `${followUp(id)}/resolve`, { version, sent }),
  optOuts: (id: string, signal?: AbortSignal) => json<OptOuts>('GET', `${lead(id)}/opt-outs`, undefined, signal),
  setOptOuts: (id: string, out: OptOuts) => json<OptOuts>('PUT', `${lead(id)}/opt-outs`, out),
  jobs: (state: JobState, signal?: AbortSignal) =>
    json<JobList>('GET', `api/jobs?state=${state}`, undefined, signal),
  recordings: (state: JobState, signal?: AbortSignal) =>
    json<RecordingList>('GET', `api/recordings?state=${state}`, undefined, signal),
  /** Its call is taken to be as old as the file. */
  async uploadRecording(file: File, about: NewRecording): Promise<void> {
    const { agent, number, direction, alone } = about;
    const started_at = new Date(file.lastModified).toISOString();
    const query = new URLSearchParams({ name: file.name, started_at, direction, alone: String(alone) });
    if (agent) query.set('agent', agent);
    if (number) query.set('number', number);
    await request('POST', `api/recordings?${query}`, file);
  },
  async runRecording(id: string): Promise<void> {
    await request('POST', `api/recordings/${encodeURIComponent(id)}/run`);
  },
  async removeRecording(id: string): Promise<void> {
    await request('DELETE', `api/recordings/${encodeURIComponent(id)}`);
  },
  async runJob(id: string): Promise<void> {
    await request('POST', `api/jobs/${encodeURIComponent(id)}/run`);
  },
  webhooks: (state: DeliveryState, signal?: AbortSignal) =>
    json<WebhookList>('GET', `api/webhooks?state=${state}`, undefined, signal),
  async sendAgain(id: string): Promise<void> {
    await request('POST', `api/webhooks/deliveries/${encodeURIComponent(id)}/send`);
  },
  async testWebhook(name: string): Promise<void> {
    await request('POST', `api/webhooks/${encodeURIComponent(name)}/test`);
  },
  /** How this version of a message sounds that is said on the telephone. */
  speechAddress: ({ id, version }: FollowUp) => address(`${followUp(id)}/speech?version=${version}`),
  recordingAddress: (id: CallId) => address(`${call(id)}/recording`),
  supervisorsAddress: (id: CallId) => address(`${call(id)}/recording?track=supervisors`),
  callSocket: (id: CallId, from: number | null) =>
    socketAddress(`${call(id)}/live${from === null ? '' : `?from=${from}`}`),
  callsSocket: () => socketAddress('api/live'),
  phoneSocket: () => socketAddress('api/phone'),
};
