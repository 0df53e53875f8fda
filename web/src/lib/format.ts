// Numbers, times and names as a reader of one language writes them.

import type { CallSummary } from './api';
import type { EndReason, Millis, Participant, Party } from './generated/call';

export interface Format {
  /** 0:07, 12:05, 1:02:45; for positions and running clocks. */
  clock(ms: Millis): string;
  /** “4 min 12 sec”: for lengths in a sentence. */
  length(ms: Millis): string;
  /** “0.8”: seconds with one decimal below ten. */
  seconds(ms: Millis): string;
  number(n: number): string;
  /** “0.72”: two decimals. */
  hundredths(n: number): string;
  percent(part: number): string;
  /** 14:02 */
  time(unixMs: number): string;
  /** “Today”, “Yesterday”, “Monday 3 March”. */
  day(unixMs: number, now: number): string;
  /** “today”, “3 days ago”, “last month”, “2 years ago”. */
  ago(unixMs: number, now: number): string;
  /** “3 March 2027” */
  date(unixMs: number): string;
  /** “3 March, 14:02” */
  dateTime(unixMs: number): string;
  /** The whole of it, with the year. */
  moment(unixMs: number): string;
  /** “€1,250.50”: a decimal of a currency. In Persian rials are said in tomans, ten of them each. */
  money(amount: string, currency: string): string;
  /** Digits as this language writes them; everything else as it is. */
  digits(text: string): string;
}

/** With as many decimals as an amount has: browsers round some currencies that have them (IQD, RSD) to whole ones. */
function inCurrency(locale: string, currency: string, decimals: number): Intl.NumberFormat {
  const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  return new Intl.NumberFormat(locale, { style: 'currency', currency, ...digits });
}

export function format(locale: string): Format {
  const number = new Intl.NumberFormat(locale);
  const two = new Intl.NumberFormat(locale, { minimumIntegerDigits: 2, useGrouping: false });
  const plain = new Intl.NumberFormat(locale, { useGrouping: false });
  const tenth = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const hundredth = new Intl.NumberFormat(locale, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const percent = new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 0 });
  const unit = (name: string) =>
    new Intl.NumberFormat(locale, { style: 'unit', unit: name, unitDisplay: 'short' });
  const [hours, minutes, seconds] = [unit('hour'), unit('minute'), unit('second')];
  const time = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
  const day = new Intl.DateTimeFormat(locale, { weekday: 'long', day: 'numeric', month: 'long' });
  const dayOfOtherYear = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'long', year: 'numeric' });
  const moment = new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'medium' });
  const dateTime = new Intl.DateTimeFormat(locale, {
    day: 'numeric',
    month: 'long',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  const year = new Intl.DateTimeFormat(locale, { year: 'numeric' });
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  const capital = (text: string) => text.charAt(0).toLocaleUpperCase(locale) + text.slice(1);
  return {
    clock(ms) {
      const s = Math.max(0, Math.floor(ms / 1000));
      const parts = [Math.floor((s % 3600) / 60), s % 60];
      if (s >= 3600)
        return [plain.format(Math.floor(s / 3600)), ...parts.map((n) => two.format(n))].join(':');
      return `${plain.format(parts[0] ?? 0)}:${two.format(parts[1] ?? 0)}`;
    },
    length(ms) {
      const s = Math.max(0, Math.round(ms / 1000));
      const [h, m] = [Math.floor(s / 3600), Math.floor((s % 3600) / 60)];
      if (h > 0) return m > 0 ? `${hours.format(h)} ${minutes.format(m)}` : hours.format(h);
      if (m > 0) return s % 60 > 0 ? `${minutes.format(m)} ${seconds.format(s % 60)}` : minutes.format(m);
      return seconds.format(s);
    },
    seconds: (ms) => (ms < 9_950 ? tenth : number).format(ms < 9_950 ? ms / 1000 : Math.round(ms / 1000)),
    number: (n) => number.format(n),
    hundredths: (n) => hundredth.format(n),
    percent: (part) => percent.format(part),
    time: (unixMs) => time.format(unixMs),
    day(unixMs, now) {
      const ago = daysBetween(unixMs, now);
      if (ago <= 1) return capital(relative.format(-Math.max(0, ago), 'day'));
      return (year.format(unixMs) === year.format(now) ? day : dayOfOtherYear).format(unixMs);
    },
    ago(unixMs, now) {
      const days = Math.max(0, daysBetween(unixMs, now));
      if (days < 30) return relative.format(-days, 'day');
      if (days < 360) return relative.format(-Math.round(days / 30.4), 'month');
      return relative.format(-Math.round(days / 365), 'year');
    },
    date: (unixMs) => dayOfOtherYear.format(unixMs),
    dateTime: (unixMs) => dateTime.format(unixMs),
    moment: (unixMs) => moment.format(unixMs),
    money: (amount, currency) =>
      currency === 'IRR' && locale.startsWith('fa')
        ? `${number.format(Number(amount) / 10)} تومان`
        : inCurrency(locale, currency, (amount.split('.')[1] ?? '').length).format(Number(amount)),
    digits: (text) => text.replace(/[0-9]/g, (digit) => plain.format(Number(digit))),
  };
}

/** Midnights between two moments, in the reader's time zone. */
export function daysBetween(earlier: number, later: number): number {
  const midnight = (ms: number) => {
    const day = new Date(ms);
    return Date.UTC(day.getFullYear(), day.getMonth(), day.getDate());
  };
  return Math.round((midnight(later) - midnight(earlier)) / 86_400_000);
}

/** `sip:+989121234567@pbx.example;user=phone` → `+989121234567`. */
export function shortAddress(aor: string): string {
  const address = aor.replace(/^(sips?|tel):/i, '').replace(/[;?>].*$/, '');
  const at = address.indexOf('@');
  return at > 0 ? decodeURIComponentSafely(address.slice(0, at)) : address;
}

function decodeURIComponentSafely(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A number as telephones know it, in whatever figures it was written; what is no number stays as it is. */
export function dialled(text: string): string {
  const number = text.trim().replace(/[۰-۹٠-٩]/g, (figure) => String(figure.charCodeAt(0) & 15));
  return /^[-+0-9*#(). ]+$/.test(number) ? number : text.trim();
}

/** What a participant is called: the display name, else the short address, else nothing. */
export function called(participant: Participant | undefined): string | null {
  return participant?.name?.trim() || (participant?.aor ? shortAddress(participant.aor) : null) || null;
}

/** Whether somebody talks, or did: what is live of a recording is only that it is listened to. */
export const isTalk = ({ source }: Pick<CallSummary, 'source'>): boolean => source !== 'file';

export function participant(call: Pick<CallSummary, 'participants'>, party: Party): Participant | undefined {
  return call.participants.find((one) => one.party === party);
}

const RIGHT_TO_LEFT = new Set(['ar', 'fa', 'he', 'ur', 'ps', 'sd', 'ug', 'yi', 'ckb', 'dv']);

/** The direction in which a language is written. */
export function direction(language: string | null | undefined): 'ltr' | 'rtl' {
  return RIGHT_TO_LEFT.has((language ?? '').toLowerCase().split('-')[0] ?? '') ? 'rtl' : 'ltr';
}

/** Nobody has ended the call: what is known of it breaks off. */
export function isCutShort(reason: EndReason): boolean {
  return reason === 'interrupted' || reason === 'fault' || reason === 'agent_lost';
}
