// What was understood of what was said, as a reader sees it: in words and shapes first, numbers on demand.

import type { Format } from './format';
import type { ArcPoint, Entities, Entity, Intent, Millis, Mood, Step, VoiceMood } from './generated/call';

export type MoodLevel = 'very_low' | 'low' | 'even' | 'high' | 'very_high';
export type Confidence = 'sure' | 'likely' | 'perhaps';

/** From which valence on each level is meant. */
const LEVELS: [number, MoodLevel][] = [
  [0.55, 'very_high'],
  [0.2, 'high'],
  [-0.2, 'even'],
  [-0.55, 'low'],
];

/** How a mood is called. */
export function levelOf({ valence }: Pick<ArcPoint, 'valence'>): MoodLevel {
  return LEVELS.find(([from]) => valence >= from)?.[1] ?? 'very_low';
}

/** The shape that stands for a mood beside its name. */
export function shapeOf(point: Pick<ArcPoint, 'valence'>): 'up' | 'even' | 'down' {
  const level = levelOf(point);
  return level === 'even' ? 'even' : level.endsWith('high') ? 'up' : 'down';
}

/** From which level on, either way, somebody is called agitated or calm. */
const AROUSED = 0.3;

/** How agitated a customer is, where that is worth a word. */
export function arousalOf({ arousal }: Pick<ArcPoint, 'arousal'>): 'agitated' | 'calm' | null {
  if (!arousal || Math.abs(arousal.level) < AROUSED) return null;
  return arousal.level > 0 ? 'agitated' : 'calm';
}

export type VoiceChange = 'higher' | 'lower' | 'louder' | 'quieter' | 'faster' | 'slower';

/** What can be heard of how a voice differs from what it was at first. */
export function voiceOf({ pitch_st = 0, level_db, rate = 1 }: VoiceMood): VoiceChange[] {
  const changes: [number, number, VoiceChange, VoiceChange][] = [
    [pitch_st, 2, 'higher', 'lower'],
    [level_db, 3, 'louder', 'quieter'],
    [Math.log2(rate), 0.25, 'faster', 'slower'],
  ];
  return changes.flatMap(([by, least, more, less]) => (Math.abs(by) < least ? [] : by > 0 ? more : less));
}

/** How sure a recogniser is that calls a thing right as often as it says. */
export function confidenceOf(p: number): Confidence {
  return p >= 0.8 ? 'sure' : p >= 0.5 ? 'likely' : 'perhaps';
}

/** What an intent is called in a language, or else in English, or else in whichever there is. */
export function titleOf(intent: { name?: string | null; title?: Record<string, string> }, language: string): string {
  const titles = intent.title ?? {};
  return titles[language] ?? titles['en'] ?? Object.values(titles)[0] ?? intent.name ?? '';
}

/** Each intent once with its newest evidence, the newest first. */
export function intentsNow(intents: readonly Intent[]): Intent[] {
  const now: Intent[] = [];
  for (const intent of intents.toReversed()) if (!now.some(({ name }) => name === intent.name)) now.push(intent);
  return now;
}

/** Something that was named, with the utterance in which that was last. */
export interface Named {
  entity: Entity;
  utterance_id: number;
}

/** Each thing that was named once with its newest evidence, the newest first. */
export function namedNow(all: readonly Entities[]): Named[] {
  const now: Named[] = [];
  for (const { utterance_id, entities } of all.toReversed())
    for (const entity of entities.toReversed())
      if (!now.some(({ entity: { kind, value } }) => kind === entity.kind && value === entity.value))
        now.push({ entity, utterance_id });
  return now;
}

/** Whether a thing is written from left to right whatever the language around it. */
export function isCode({ kind }: Pick<Entity, 'kind'>): boolean {
  return kind === 'phone' || kind === 'email' || kind === 'order' || kind === 'account';
}

/** A date, a time of day or both, written as entities have them, as a reader of a language writes it. */
export function momentOf(value: string, format: Pick<Format, 'date' | 'dateTime' | 'time'>): string {
  const [, date, time] = /^(\d{4}-\d{2}-\d{2})?(?:T(\d{2}:\d{2}))?$/.exec(value) ?? [];
  // Without a zone: that of the reader, in which it is written again.
  const at = new Date(`${date ?? '2000-01-01'}T${time ?? '00:00'}`).getTime();
  if (Number.isNaN(at) || (!date && !time)) return value;
  return date ? (time ? format.dateTime(at) : format.date(at)) : format.time(at);
}

/**
 * A thing that was named, as a reader of a language writes it. `said` is the text that it was named in, which a place or a
 * name is taken from: cities have English names otherwise. `currency` is what one is called.
 */
export function valueOf(
  { kind, value, chars }: Entity,
  said: string,
  format: Pick<Format, 'number' | 'digits' | 'date' | 'dateTime' | 'time'>,
  currency: (code: string) => string,
): string {
  switch (kind) {
    case 'phone':
      return format.digits(value);
    case 'money': {
      const [amount = '', code = ''] = value.split(' ');
      const number = Number(amount);
      return Number.isFinite(number) ? `${format.number(number)} ${currency(code)}` : value;
    }
    case 'date_time':
      return momentOf(value, format);
    case 'person':
    case 'city':
      return [...said].slice(chars.start, chars.end).join('') || value;
    default:
      return value;
  }
}

/** Whether both are about the same step of the same wording of a written procedure. */
export function isSameStep(a: Step, b: Step): boolean {
  return a.document === b.document && a.passage === b.passage && a.version === b.version && a.step === b.step;
}

/** Puts something about an utterance in its place, where it replaces what was there about the same one. */
export function put<T extends { utterance_id: number }>(all: readonly T[], one: T): T[] {
  const others = all.filter(({ utterance_id }) => utterance_id !== one.utterance_id);
  const place = others.findLastIndex(({ utterance_id }) => utterance_id < one.utterance_id) + 1;
  return others.toSpliced(place, 0, one);
}

/** The arc as a drawing of 100 by 100, time from the left, pleasant above. */
export interface ArcDrawing {
  points: { mood: Mood; x: number; y: number }[];
  /** The estimate. */
  line: string;
  /** Where the mood may be: a standard deviation to either side. */
  band: string;
}

export function draw(moods: readonly Mood[], extent: Millis): ArcDrawing {
  const x = (mood: Mood) => round((100 * Math.min(mood.arc.at_ms, extent)) / Math.max(extent, 1));
  const y = (valence: number) => round(50 - 50 * Math.min(1, Math.max(-1, valence)));
  const points = moods
    .toSorted((a, b) => a.arc.at_ms - b.arc.at_ms)
    .map((mood) => ({ mood, x: x(mood), y: y(mood.arc.valence) }));
  const path = (corners: string[]) => (corners.length > 0 ? `M${corners.join('L')}` : '');
  const edge = (sign: 1 | -1) =>
    points.map(({ mood: { arc }, x }) => `${x} ${y(arc.valence + sign * arc.deviation)}`);
  const band = path([...edge(1), ...edge(-1).reverse()]);
  return { points, line: path(points.map(({ x, y }) => `${x} ${y}`)), band: band && `${band}Z` };
}

const round = (n: number) => Math.round(n * 100) / 100;
