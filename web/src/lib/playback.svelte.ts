// Playing a recording in step with its words. The recording's time is the call's clock.

import type { CallModel } from './call.svelte';
import type { Party } from './generated/call';
import { prefs } from './prefs.svelte';
import { lastAt } from './words';

export const RATES = [0.75, 1, 1.25, 1.5, 1.75, 2] as const;

/** How far what supervisors said may be off before it is put right. */
const STEP_S = 0.12;

export class Playback {
  /** The moment being heard. */
  at = $state.raw(0);
  playing = $state.raw(false);
  /** Waiting for data. */
  waiting = $state.raw(false);
  failed = $state.raw(false);
  /** Length of the recording once it is known. */
  duration: number | null = $state.raw(null);

  #audio: HTMLAudioElement | null = null;
  #beside: HTMLAudioElement | null = null;
  #frame = 0;

  attach(audio: HTMLAudioElement): () => void {
    this.#audio = audio;
    audio.playbackRate = prefs.rate;
    const on = (kind: keyof HTMLMediaElementEventMap, then: () => void) => audio.addEventListener(kind, then);
    on('play', () => this.#run());
    on('pause', () => this.#rest());
    on('ended', () => this.#rest());
    on('seeked', () => this.#look());
    on('timeupdate', () => this.#look());
    on('waiting', () => (this.waiting = true));
    on('playing', () => (this.waiting = this.failed = false));
    on('canplay', () => (this.waiting = false));
    on('error', () => {
      this.failed = true;
      this.#rest();
    });
    on('durationchange', () => {
      if (Number.isFinite(audio.duration)) this.duration = audio.duration * 1000;
    });
    return () => {
      cancelAnimationFrame(this.#frame);
      audio.pause();
      audio.removeAttribute('src');
      audio.load();
      this.#audio = null;
    };
  }

  /** Another recording on the same clock is heard as well, until it is taken away again. */
  along(beside: HTMLAudioElement): () => void {
    this.#beside = beside;
    this.#keepStep();
    return () => {
      beside.pause();
      this.#beside = null;
    };
  }

  toggle(): void {
    if (this.playing) this.#audio?.pause();
    else this.play();
  }

  play(): void {
    const audio = this.#audio;
    if (!audio) return;
    if (audio.ended) audio.currentTime = 0;
    audio.play().catch(() => {
      // The `error` event tells what a reader can use.
    });
  }

  seek(ms: number): void {
    const audio = this.#audio;
    if (!audio) return;
    const end = this.duration ?? Infinity;
    const to = Math.min(end, Math.max(0, ms));
    audio.currentTime = to / 1000;
    this.at = to;
  }

  /** The next speed up or down. */
  faster(by: 1 | -1): void {
    const from = RATES.findIndex((rate) => rate >= prefs.rate);
    this.rate(RATES[Math.min(RATES.length - 1, Math.max(0, (from < 0 ? 1 : from) + by))] ?? 1);
  }

  rate(rate: number): void {
    prefs.rate = rate;
    if (this.#audio) this.#audio.playbackRate = rate;
  }

  reload(): void {
    this.failed = false;
    const at = this.at;
    this.#audio?.load();
    this.seek(at);
  }

  #run(): void {
    this.playing = true;
    cancelAnimationFrame(this.#frame);
    const step = () => {
      this.#look();
      this.#frame = requestAnimationFrame(step);
    };
    this.#frame = requestAnimationFrame(step);
  }

  #rest(): void {
    this.playing = false;
    this.waiting = false;
    cancelAnimationFrame(this.#frame);
    this.#look();
  }

  #look(): void {
    if (this.#audio) this.at = this.#audio.currentTime * 1000;
    this.#keepStep();
  }

  #keepStep(): void {
    const [audio, beside] = [this.#audio, this.#beside];
    if (!audio || !beside) return;
    const at = audio.currentTime;
    // Its length is not known before its beginning has come.
    const sounds = this.playing && !this.waiting && !(at >= beside.duration);
    beside.playbackRate = audio.playbackRate;
    if (!beside.seeking && !(at >= beside.duration) && Math.abs(beside.currentTime - at) > STEP_S)
      beside.currentTime = at;
    if (sounds && beside.paused) beside.play().catch(() => {});
    else if (!sounds && !beside.paused) beside.pause();
  }
}

/** A word stays lit a little longer than it sounds, so that the eye is not led from gap to gap. */
const AFTERGLOW_MS = 250;

interface Spoken {
  starts: Float64Array;
  ends: Float64Array;
  words: { key: string; word: number }[];
}

/** Finds the words that sound at a moment: at most one a party, both when they speak at once. */
export class WordIndex {
  #parties: Spoken[];

  constructor(lines: Pick<CallModel, 'lines'>['lines']) {
    const byParty = new Map<Party, { key: string; word: number; start: number; end: number }[]>();
    for (const line of lines) {
      const all = byParty.get(line.party) ?? [];
      byParty.set(line.party, all);
      line.now.words.forEach(({ start_ms, end_ms }, word) =>
        all.push({ key: line.key, word, start: start_ms, end: end_ms }),
      );
    }
    this.#parties = [...byParty.values()].map((words) => {
      words.sort((a, b) => a.start - b.start);
      return {
        starts: Float64Array.from(words, ({ start }) => start),
        ends: Float64Array.from(words, ({ end }) => end),
        words,
      };
    });
  }

  /** The line of the newest word that began before `ms`. */
  before(ms: number): string | null {
    let newest: { key: string; start: number } | null = null;
    for (const { starts, words } of this.#parties) {
      const place = lastAt(starts, ms);
      const start = starts[place] ?? 0;
      const word = words[place];
      if (word && (!newest || start > newest.start)) newest = { key: word.key, start };
    }
    return newest?.key ?? null;
  }

  at(ms: number): { key: string; word: number }[] {
    const found: { key: string; word: number; start: number }[] = [];
    for (const { starts, ends, words } of this.#parties) {
      const place = lastAt(starts, ms);
      const word = words[place];
      if (word && ms <= (ends[place] ?? 0) + AFTERGLOW_MS) found.push({ ...word, start: starts[place] ?? 0 });
    }
    return found.sort((a, b) => a.start - b.start);
  }
}
