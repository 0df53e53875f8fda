// The calls that the stand-in server plays: what is said, and how a recogniser would hear it.

/** @typedef {{ party: 'agent'|'customer', at: number, text: string, first?: string, tail?: string[],
 *    mood?: [number, string], voice?: [number, number, number, number], wants?: [string, number], says?: string, prompt?: [string, number, { en: string, fa: string }],
 *    card?: Record<string, unknown> }} Said
 *  `first` is the final as heard at first (revised to `text` later); `tail` are misheard last words of partials.
 *  `mood` is what the words tell: valence and emotion; `voice` what the voice does beside the first words: arousal,
 *  semitones, decibels and rate; `wants` the intent they name, and how surely; `says` an item of the checklist that they tick; `prompt` what the agent is told then: about what, how long it stands, and the words; `card` the passage that may answer. */

const WORD_MS = 330;
const FINAL_AFTER_MS = 640;
const REVISED_AFTER_MS = 5200;
const PARTIAL_EVERY_MS = 850;
const UNDERSTOOD_AFTER_MS = 24;

export const TITLES = {
  registration: { en: 'Registration', fa: 'ثبت‌نام' },
  payment: { en: 'Payment', fa: 'پرداخت' },
  complaint: { en: 'Complaint', fa: 'شکایت' },
};

/** What must be said on every call. */
const CHECKLIST = {
  greeting: { en: 'Name and school said', fa: 'معرفی خود و آموزشگاه' },
  recorded: { en: 'The call is recorded', fa: 'تماس ضبط می‌شود' },
  next: { en: 'What happens next, and when', fa: 'گام بعدی و زمان آن' },
};

const SORRY = {
  en: 'The customer sounds annoyed. Say that you are sorry for the trouble before you explain.',
  fa: 'مشتری دلخور به نظر می‌رسد. پیش از توضیح، بابت زحمتی که پیش آمده پوزش بخواهید.',
};
const MONTH_MS = 30 * 86_400_000;
/** A passage with the sentence of it that answers. */
const passage = (title, section, text, answer, confidence, words, months) => {
  const start = [...text.slice(0, text.indexOf(answer))].length;
  return {
    document: 'enrolment.md',
    passage: 2,
    title,
    section: [section],
    text,
    answer: { start, end: start + [...answer].length },
    changed_unix_ms: Date.now() - months * MONTH_MS,
    confidence,
    why: { words, covered: 0.6, cosine: 0.87 },
  };
};
const FULL = passage(
  'Enrolment',
  'The class is full',
  'Press “Waiting list”. Places that become free are offered by SMS in order, for 12 hours each. When seven people wait we open another class.',
  'Places that become free are offered by SMS in order, for 12 hours each.',
  0.71,
  ['course', 'place'],
  3,
);
const LATE = {
  ...passage(
    'Prices',
    'When a payment is late',
    'A place is held for two working days while a payment is on its way. After that it goes to the next on the list.',
    'A place is held for two working days while a payment is on its way.',
    0.63,
    ['place', 'payment'],
    14,
  ),
  document: 'prices.md',
};
const PERSIAN = {
  ...passage(
    'ثبت‌نام',
    'کلاس پر است',
    'گزینهٔ «فهرست انتظار» را بزنید. جای خالی به ترتیب و هر بار برای ۱۲ ساعت با پیامک پیشنهاد می‌شود.',
    'جای خالی به ترتیب و هر بار برای ۱۲ ساعت با پیامک پیشنهاد می‌شود.',
    0.68,
    ['کلاس', 'جا'],
    5,
  ),
  passage: 3,
};
const NUMBER = { en: 'Ask for the name of the student.', fa: 'نام زبان‌آموز را بپرسید.' };

export const english = {
  language: 'en',
  participants: [
    { party: 'customer', name: 'Robert Miller', aor: 'sip:+442079460123@trunk.example' },
    { party: 'agent', name: 'Mina Karimi', aor: 'sip:1002@pbx.example' },
  ],
  seconds: 118,
  said: [
    { party: 'agent', at: 0.8, text: 'Good morning, MetaLingua, this is Mina. How can I help you today?', says: 'greeting' },
    {
      party: 'customer',
      at: 6.4,
      text: 'Morning. I booked the evening course for my daughter, and now the site says the place is gone.',
      first: 'Morning. I booked the evening course for my daughter, and now the side says the place is gone.',
      tail: ['sight', 'plays'],
      mood: [-0.35, 'disappointment'],
      wants: ['registration', 0.86],
      prompt: ['next_action', 30, NUMBER],
      card: FULL,
    },
    {
      party: 'customer',
      at: 14.2,
      text: 'We paid the deposit on the fourteenth, with the card ••••.',
      first: 'We paid the deposit on the fourteen, with the card ••••.',
      secrets: ['card'],
      mood: [-0.1, 'neutral'],
      wants: ['payment', 0.58],
    },
    {
      party: 'agent',
      at: 18.1,
      text: 'I am sorry, that should not happen once a deposit is in. May I have the booking number?',
    },
    {
      party: 'customer',
      at: 25.4,
      text: 'Sure, it is seven four one, nine nine two.',
      tail: ['for'],
      mood: [0.05, 'neutral'],
    },
    {
      party: 'agent',
      at: 30.2,
      text: 'Seven four one, nine nine two. One moment while I look.',
      names: [['order', '741992', 'Seven four one, nine nine two']],
    },
    { party: 'customer', at: 32.4, text: 'Yes.' },
    {
      party: 'agent',
      at: 41.0,
      text: 'I have it. The payment arrived, but it was filed under the placement test and not under the course, so the place was released on Sunday night.',
      first:
        'I have it. The payment arrived, but it was filed under the placement text and not under the course, so the place was released on Sunday night.',
      tail: ['text', 'coarse'],
    },
    {
      party: 'customer',
      at: 52.6,
      text: 'That is your mistake, though, not ours. She has been looking forward to this for weeks.',
      mood: [-0.95, 'annoyance'],
      voice: [0.62, 3.4, 6.1, 1.2],
      wants: ['complaint', 0.71],
      turn: 'decline',
      prompt: ['empathy', 20, SORRY],
    },
    { party: 'agent', at: 59.8, text: 'You are right, it is ours.' },
    {
      party: 'agent',
      at: 62.6,
      text: 'I can put her back on the list for Thursday now, and hold the place until six this evening while accounting moves the payment.',
      tail: ['hold the plays'],
    },
    {
      party: 'customer',
      at: 72.8,
      text: 'And if accounting does not manage that by six?',
      mood: [-0.5, 'worry'],
      urgent: true,
      card: { ...LATE, held_back: [{ title: 'Enrolment', section: ['The class is full'], confidence: 0.58, because: 'shown' }] },
    },
    {
      party: 'agent',
      at: 76.9,
      text: 'Then I renew it myself. You will have a message from me either way before half past five.',
      first: 'Then I renew it myself. You will have a massage from me either way before half past five.',
      names: [['date_time', 'T17:30', 'half past five']],
    },
    {
      party: 'customer',
      at: 84.4,
      text: 'Fine. Can you send it to my number and not by e-mail? I rarely look there.',
      tail: ['rarely look their'],
      mood: [0.2, 'neutral'],
    },
    {
      party: 'agent',
      at: 91.0,
      text: 'Of course. Please key in the last four digits of the number, so that I have the right one.',
    },
    { party: 'agent', at: 101.2, text: 'Thank you, that matches. You will hear from me today.', says: 'next' },
    { party: 'customer', at: 106.4, text: 'Good. Thank you, Mina.', mood: [0.9, 'gratitude'], turn: 'improvement', names: [['person', 'Mina', 'Mina']] },
    { party: 'agent', at: 109.2, text: 'Thank you for your patience, Mr Miller. Goodbye.' },
  ],
  other: [
    { at: 34.6, kind: 'paused', party: 'customer' },
    { at: 39.9, kind: 'resumed', party: 'customer' },
    ...['0', '1', '2', '3'].map((digit, i) => ({
      at: 97 + i * 0.7,
      kind: 'dtmf',
      party: 'customer',
      digit,
      duration_ms: 160,
    })),
    { at: 66.2, kind: 'audio_lost', party: 'agent', to: 'speech', lost_ms: 420 },
  ],
};

export const persian = {
  language: 'fa',
  participants: [
    { party: 'customer', name: 'آقای رضا توکلی', aor: 'sip:+989121234567@trunk.example' },
    { party: 'agent', name: 'مینا کریمی', aor: 'sip:1002@pbx.example' },
  ],
  seconds: 112,
  said: [
    { party: 'agent', at: 0.9, text: 'سلام، وقت‌تان بخیر. متالینگوا، کریمی هستم. بفرمایید.', says: 'greeting' },
    {
      party: 'customer',
      at: 5.8,
      text: 'سلام خانم کریمی. برای دخترم کلاس عصر ثبت‌نام کرده بودم، حالا سایت می‌گوید ظرفیت پر شده.',
      first: 'سلام خانم کریمی. برای دخترم کلاس اثر ثبت‌نام کرده بودم، حالا سایت می‌گوید ظرفیت پر شده.',
      tail: ['اثر', 'ظرافت'],
      mood: [-0.35, 'disappointment'],
      wants: ['registration', 0.83],
      prompt: ['next_action', 30, NUMBER],
      card: PERSIAN,
    },
    {
      party: 'customer',
      at: 13.6,
      text: 'بیعانه را هم چهاردهم ماه با کارت •••• واریز کردم.',
      first: 'بیعانه را هم چهارده ماه با کارت •••• واریز کردم.',
      secrets: ['card'],
      mood: [-0.1, 'neutral'],
      wants: ['payment', 0.64],
    },
    {
      party: 'agent',
      at: 17.9,
      text: 'متأسفم، با پرداخت بیعانه نباید چنین اتفاقی بیفتد. شمارهٔ ثبت‌نام را می‌فرمایید؟',
    },
    { party: 'customer', at: 25.2, text: 'بله، هفتصد و چهل و یک، نهصد و نود و دو.' },
    {
      party: 'agent',
      at: 31.4,
      text: '۷۴۱۹۹۲، درست است؟ یک لحظه اجازه بدهید نگاه کنم.',
      names: [['order', '741992', '۷۴۱۹۹۲']],
    },
    { party: 'customer', at: 34.2, text: 'بله.' },
    {
      party: 'agent',
      at: 42.3,
      text: 'پیدا کردم. مبلغ رسیده، ولی به حساب آزمون تعیین سطح ثبت شده و نه کلاس؛ برای همین جای دخترتان یکشنبه شب آزاد شده است.',
      first:
        'پیدا کردم. مبلغ رسیده، ولی به حساب آزمون تعیین سقف ثبت شده و نه کلاس؛ برای همین جای دخترتان یکشنبه شب آزاد شده است.',
      tail: ['سقف'],
    },
    {
      party: 'customer',
      at: 55.0,
      text: 'خب این اشتباه شماست، نه ما. دخترم چند هفته است که منتظر این کلاس است.',
      mood: [-0.95, 'annoyance'],
      voice: [0.62, 3.4, 6.1, 1.2],
      wants: ['complaint', 0.74],
      turn: 'decline',
      prompt: ['empathy', 20, SORRY],
    },
    { party: 'agent', at: 62.1, text: 'حق با شماست، اشتباه از ما بوده.' },
    {
      party: 'agent',
      at: 65.4,
      text: 'همین حالا نام ایشان را برای کلاس پنجشنبه برمی‌گردانم و تا ساعت شش عصر جا را نگه می‌دارم تا حسابداری پرداخت را جابه‌جا کند.',
      tail: ['حساب‌داری'],
    },
    { party: 'customer', at: 77.6, text: 'اگر حسابداری تا شش نرساند چه؟', mood: [-0.5, 'worry'] },
    {
      party: 'agent',
      at: 81.2,
      text: 'خودم تمدیدش می‌کنم. به هر حال تا پنج و نیم از من پیام می‌گیرید.',
      first: 'خودم تمدیدش می‌کنم. به هر حال تا پنج و نیم از من پیامک می‌گیرید.',
      names: [['date_time', 'T17:30', 'پنج و نیم']],
    },
    { party: 'customer', at: 88.3, text: 'باشد. لطفاً پیامک بفرستید، ایمیل را کمتر نگاه می‌کنم.' },
    { party: 'agent', at: 94.0, text: 'حتماً. امروز خبرتان می‌کنم.', says: 'next' },
    { party: 'customer', at: 97.6, text: 'ممنونم خانم کریمی. خدانگهدار.', mood: [0.9, 'gratitude'], turn: 'improvement' },
    { party: 'agent', at: 101.0, text: 'سپاس از صبوری‌تان. خدانگهدار.' },
  ],
  other: [
    { at: 36.2, kind: 'paused', party: 'customer' },
    { at: 41.2, kind: 'resumed', party: 'customer' },
    ...['1', '3', '5'].map((digit, i) => ({
      at: 38 + i * 0.6,
      kind: 'dtmf',
      party: 'customer',
      digit,
      duration_ms: 140,
    })),
  ],
};

export const busy = {
  language: 'en',
  participants: [
    { party: 'customer', name: null, aor: 'sip:+493012345678@trunk.example' },
    { party: 'agent', name: 'Jonas Weber', aor: 'sip:1007@pbx.example' },
  ],
  seconds: 118,
  said: english.said.map((line) => ({ ...line, late: line.at > 20 ? 3600 : 0 })),
  other: [
    { at: 20, kind: 'load', shedding: 'fewer_partials', behind_ms: 1200 },
    { at: 26, kind: 'load', shedding: 'no_partials', behind_ms: 2100 },
    { at: 34, kind: 'load', shedding: 'late_finals', behind_ms: 4300 },
  ],
};

export const silent = {
  language: undefined,
  participants: [{ party: 'agent', name: 'Leila Ahmadi', aor: 'sip:1011@pbx.example' }],
  seconds: 600,
  said: [],
  other: [{ at: 0.1, kind: 'consent', mood: false }],
};

/** Live calls of others, as lists show them, of which the first few need somebody. */
export function crowd(count, nowUnixMs) {
  const customers = [
    ['Priya Nair', '+441632960961'],
    ['سارا محمدی', '+982188776655'],
    ['Hannah Schulz', '+4930901820'],
    ['Tomás Ferreira', '+351213456789'],
    ['رضا حسینی', '+989121110022'],
    ['Amélie Laurent', '+33142685300'],
    ['Daniel Okafor', '+441632960112'],
    ['مریم رستمی', '+982122334455'],
    [null, '+442079460555'],
  ];
  const agents = ['Omid Rezaei', 'Leila Ahmadi', 'نگار امینی', 'Jonas Weber', 'Mina Karimi'];
  const of = (script) => script.said.map((line) => line.text);
  const now = (over) => ({
    phase: 'talking',
    since_ms: 0,
    supervisors: [],
    lines: [
      { party: 'agent', quality: 'good' },
      { party: 'customer', quality: 'good' },
    ],
    alerts: [],
    ...over,
  });
  const needs = (age) => [
    now({
      phase: 'agent_lost',
      since_ms: age - 6_000,
      alerts: [{ kind: 'agent_lost', severity: 'urgent', party: 'agent', since_ms: age - 6_000 }],
    }),
    now({
      phase: 'on_hold',
      since_ms: age - 194_000,
      supervisors: [{ name: 'sara', attention: 'listen' }],
      alerts: [{ kind: 'on_hold', severity: 'urgent', party: 'customer', since_ms: age - 194_000 }],
    }),
    now({ alerts: [{ kind: 'silent', severity: 'warning', party: 'customer', since_ms: age - 74_000 }] }),
    now({
      lines: [
        { party: 'agent', quality: 'good' },
        { party: 'customer', quality: 'poor' },
      ],
      alerts: [
        { kind: 'bad_line', severity: 'warning', party: 'customer', since_ms: age - 21_000 },
        { kind: 'words_late', severity: 'notice', since_ms: age - 9_000 },
      ],
    }),
    now({ phase: 'handing_over', since_ms: age - 12_000, colleague: 'omid' }),
    now({
      supervisors: [
        { name: 'sara', attention: 'whisper' },
        { name: 'امین', attention: 'listen' },
      ],
    }),
    now({
      lines: [
        { party: 'agent', quality: 'fair' },
        { party: 'customer', quality: 'good' },
      ],
    }),
    now({}),
    now({
      alerts: [
        {
          kind: 'unhappy',
          severity: 'warning',
          party: 'customer',
          since_ms: age - 48_000,
          evidence: { utterance_id: 3, text: 'I have called three times now, and nobody has called me back.' },
        },
      ],
    }),
    now({
      alerts: [
        {
          kind: 'wants',
          severity: 'warning',
          party: 'customer',
          since_ms: age - 12_000,
          title: TITLES.complaint,
          evidence: { utterance_id: 4, text: 'I would like to speak to somebody who is responsible for this.' },
        },
      ],
    }),
    now({
      alerts: [
        {
          kind: 'said',
          severity: 'warning',
          party: 'customer',
          since_ms: age - 31_000,
          title: { en: 'Lawyer', fa: 'وکیل' },
          evidence: { utterance_id: 6, text: 'Then you will hear from my lawyer.' },
        },
        {
          kind: 'not_said',
          severity: 'warning',
          party: 'agent',
          since_ms: age - 25_000,
          title: CHECKLIST.recorded,
          evidence: { utterance_id: 0, text: 'Good morning, MetaLingua, this is Leila. How can I help you?' },
        },
      ],
    }),
    now({
      alerts: [
        {
          kind: 'dead_air',
          severity: 'warning',
          since_ms: age - 42_000,
          evidence: { utterance_id: 5, text: 'One moment, please, I will have a look.' },
        },
      ],
    }),
    now({ alerts: [{ kind: 'not_recorded', severity: 'urgent', since_ms: age - 8_000 }] }),
  ];
  return Array.from({ length: count }, (_, n) => {
    const [name, number] = customers[n % customers.length];
    const isPersian = /[\u0600-\u06ff]/.test(name ?? '');
    const age = 250_000 + ((n * 77_000) % 900_000);
    return {
      external_id: `other-${n}@sbc.example`,
      source: 'sip',
      state: 'live',
      started_at_unix_ms: nowUnixMs - age,
      participants: [
        { party: 'customer', name, aor: `sip:${number}@trunk.example` },
        { party: 'agent', name: agents[(n + (isPersian ? 2 : 0)) % agents.length] },
      ],
      shedding: 'none',
      utterances: n * 5,
      recording: false,
      language: isPersian ? 'fa' : 'en',
      bridged: true,
      mood: [
        { at_ms: 0, valence: -0.62, deviation: 0.3, trend: 'falling' },
        { at_ms: 0, valence: 0.05, deviation: 0.3, trend: 'steady' },
        { at_ms: 0, valence: 0.4, deviation: 0.3, trend: 'rising' },
        undefined,
      ][n % 4],
      intent: n % 3 ? { name: 'x', title: Object.values(TITLES)[n % 3], confidence: 0.8 } : undefined,
      now: needs(age)[n] ?? now({}),
      said: of(isPersian ? persian : english),
    };
  });
}

/** Callers who have not been answered since the stand-in began. */
export function inLine(begun) {
  const waits = Date.now() - begun;
  return [
    { id: 1, from: { name: 'Kaveh Moradi', aor: 'sip:+982144556677@trunk' }, called: '100', since_ms: waits + 41_000 },
    {
      id: 2,
      from: { name: null, aor: 'sip:+493088990011@trunk' },
      called: '200',
      since_ms: (waits % 30_000) + 1_000,
      rings_at: 'leila',
    },
  ];
}

/** A call of `lines` utterances: for measuring, not for reading. */
export function long(lines) {
  const said = [];
  let at = 1;
  for (let i = 0; i < lines; i++) {
    const from = english.said[i % english.said.length];
    said.push({ ...from, at, first: undefined, tail: undefined });
    at += from.text.split(' ').length * (WORD_MS / 1000) + 1.1;
  }
  return { ...english, seconds: at + 2, said, other: [], partials: false };
}

/** Words with times, as the recogniser gives them. */
export function timed(text, startMs) {
  let at = startMs;
  return text.split(/\s+/).map((w, i) => {
    const length = Math.round(WORD_MS * (0.6 + Math.min(1, w.length / 9)));
    const word = {
      w,
      start_ms: Math.round(at),
      end_ms: Math.round(at + length * 0.9),
      p: 0.72 + ((i * 37) % 27) / 100,
    };
    at += length;
    return word;
  });
}

/** Every event of a script in its order, numbered. */
export function events(script, startedAtUnixMs, externalId) {
  const out = [];
  const add = (at, body) => out.push({ at: Math.round(at), body });
  add(0, {
    kind: 'call_started',
    version: 1,
    source: 'siprec',
    started_at_unix_ms: startedAtUnixMs,
    external_id: externalId,
    participants: script.participants,
    ...(script.language ? { language: script.language } : {}),
  });
  add(20, { kind: 'leg_started', party: 'customer', codec: 'PCMA' });
  add(40, { kind: 'leg_started', party: 'agent', codec: 'PCMA' });
  if (script.said.length > 0)
    for (const [name, title] of Object.entries(CHECKLIST)) add(0, { kind: 'checklist', name, title, done: false });
  let [id, prompts, cards] = [0, 0, 0];
  const spoken = [];
  let arc = { valence: 0, deviation: 0.5 };
  for (const line of script.said) {
    const start = line.at * 1000;
    const heard = timed(line.first ?? line.text, start);
    const end = heard.at(-1).end_ms;
    spoken.push({ party: line.party, start, end });
    const utterance = (words, over) => ({
      kind: 'utterance',
      utterance_id: id,
      party: line.party,
      final: false,
      revision: 0,
      text: words.map((word) => word.w).join(' '),
      start_ms: start,
      end_ms: words.at(-1).end_ms,
      words,
      language: script.language,
      latency_ms: 480 + ((id * 131) % 500),
      ...over,
    });
    const late = line.late ?? 0;
    if (!late && script.partials !== false) {
      for (let at = start + 900, n = 0; at < end; at += PARTIAL_EVERY_MS, n++) {
        const words = heard.filter((word) => word.end_ms < at - 300);
        if (words.length === 0) continue;
        const tail = line.tail?.[n % (line.tail.length * 2)];
        const shown =
          tail && words.length > 5 ? [...words.slice(0, -1), { ...words.at(-1), w: tail }] : words;
        const stable = words
          .slice(0, Math.max(0, words.length - 3))
          .map((word) => word.w)
          .join(' ').length;
        add(at, utterance(shown, { stable_chars: stable }));
      }
    }
    const text = line.first ?? line.text;
    add(
      end + FINAL_AFTER_MS + late,
      utterance(heard, {
        final: true,
        stable_chars: [...text].length,
        latency_ms: 640 + late + ((id * 131) % 300),
      }),
    );
    if (line.first) {
      const words = timed(line.text, start);
      add(
        end + REVISED_AFTER_MS + late,
        utterance(words, {
          final: true,
          revision: 1,
          stable_chars: [...line.text].length,
          latency_ms: REVISED_AFTER_MS,
        }),
      );
    }
    if (line.secrets) {
      const ranges = [{ start_ms: end - 600, end_ms: end }];
      const { party, secrets } = line;
      add(end + FINAL_AFTER_MS + late - 1, { kind: 'redacted', utterance_id: id, party, secrets, ranges, muted: true });
    }
    for (const revision of line.first ? [0, 1] : [0]) {
      const at = end + (revision ? REVISED_AFTER_MS : FINAL_AFTER_MS) + late + UNDERSTOOD_AFTER_MS;
      const about = { utterance_id: id, revision, latency_ms: UNDERSTOOD_AFTER_MS };
      if (line.mood) {
        const [valence, emotion] = line.mood;
        // As the filter of crates/insight would, nearly.
        if (revision === 0)
          arc = {
            ...arc,
            valence: arc.valence + 0.5 * (valence - arc.valence),
            deviation: 0.2 + 0.5 * (arc.deviation - 0.2),
            ...(line.voice ? { arousal: { level: line.voice[0], deviation: 0.25 } } : {}),
          };
        const trend = valence < -0.8 ? 'falling' : valence > 0.8 ? 'rising' : 'steady';
        add(at, {
          kind: 'mood',
          ...about,
          sentiment: {
            negative: Math.max(0, -valence),
            neutral: 1 - Math.abs(valence),
            positive: Math.max(0, valence),
          },
          valence,
          emotion,
          emotion_p: emotion === 'neutral' ? 0.8 : 0.62,
          arc: { at_ms: end, ...arc, trend },
          ...(line.voice ? { voice: voiceOf(line.voice) } : {}),
          ...(line.urgent ? { urgent: true } : {}),
          ...(line.turn ? { turn: { direction: line.turn, since: id, trigger: id - 1 } } : {}),
        });
      }
      if (line.wants) {
        const [name, confidence] = line.wants;
        add(at, { kind: 'intent', ...about, name, title: TITLES[name], confidence });
      }
      if (line.names) add(at, { kind: 'entities', ...about, entities: line.names.map((one) => named(line.text, one)) });
    }
    const quoted = { utterance_id: id, revision: 0, text };
    const told = end + FINAL_AFTER_MS + late + 2 * UNDERSTOOD_AFTER_MS;
    if (line.says) {
      const item = { name: line.says, title: CHECKLIST[line.says], done: true };
      add(told, { kind: 'checklist', ...item, evidence: quoted });
    }
    if (line.card) {
      const latency_ms = 2 * UNDERSTOOD_AFTER_MS;
      const rests = { evidence: quoted, expires_at_ms: Math.round(told) + 90_000, latency_ms };
      add(told, { kind: 'card', card_id: ++cards, ...line.card, ...rests });
    }
    if (line.prompt) {
      const [about, seconds, words] = line.prompt;
      add(told, {
        kind: 'prompt',
        prompt_id: ++prompts,
        about,
        text: words,
        priority: 70,
        evidence: quoted,
        expires_at_ms: Math.round(told) + seconds * 1000,
        ...(about === 'empathy'
          ? { held_back: [{ about: 'next_action', text: NUMBER, because: 'matters_less' }] }
          : {}),
      });
    }
    id++;
  }
  for (const { at, ...body } of script.other) add(at * 1000, body);
  const end = script.seconds * 1000;
  add(end, { kind: 'leg_ended', party: 'customer', packets: Math.round(end / 20), lost: 12 });
  add(end + 10, { kind: 'leg_ended', party: 'agent', packets: Math.round(end / 20), lost: 0 });
  if (spoken.length > 0) add(end + 19, { kind: 'talk', ...talkOf(spoken) });
  add(end + 20, { kind: 'call_ended', reason: script.reason ?? 'hangup', duration_ms: end });
  out.sort((a, b) => a.at - b.at);
  return out.map(({ at, body }, i) => ({ seq: i + 1, at_ms: at, ...body }));
}

function voiceOf([arousal, pitch_st, level_db, rate]) {
  return { arousal, pitch_st, level_db, rate, pauses: 0 };
}

/** How the time went, as crates/insight measures it, nearly. */
function talkOf(spoken) {
  const talk = { parties: [], overlap_ms: 0, silence_ms: 0, dead_air_ms: 0 };
  for (const party of ['agent', 'customer']) {
    const own = spoken.filter((one) => one.party === party);
    const talk_ms = own.reduce((sum, { start, end }) => sum + end - start, 0);
    if (own.length > 0) talk.parties.push({ party, talk_ms, interruptions: party === 'agent' ? 1 : 0 });
  }
  const ordered = spoken.toSorted((a, b) => a.start - b.start);
  let until = ordered[0].start;
  for (const { start, end } of ordered) {
    const silence = Math.max(0, start - until);
    talk.silence_ms += silence;
    if (silence >= 10_000) talk.dead_air_ms += silence;
    talk.overlap_ms += Math.max(0, Math.min(until, end) - start);
    until = Math.max(until, end);
  }
  return talk;
}

/** What a call came to, in the form of crates/review: its longest sentences, and what the agent said last as a promise. */
export function reviewOf({ utterances, moods }) {
  const said = utterances.filter(({ final, text }) => final && text);
  const cite = ({ utterance_id, revision, party, start_ms, text }) => ({
    utterance_id,
    revision,
    party,
    start_ms,
    chars: { start: 0, end: [...text].length },
  });
  const of = (id) => said.find(({ utterance_id }) => utterance_id === id);
  const turned = moods.filter(({ turn }) => turn);
  const satisfied = moods.filter(({ emotion, utterance_id }) => ['gratitude', 'joy'].includes(emotion) && of(utterance_id));
  const longest = said
    .toSorted((a, b) => b.text.length - a.text.length)
    .slice(0, 4)
    .sort((a, b) => a.start_ms - b.start_ms);
  const first = said.find(({ party }) => party === 'agent');
  const last = said.findLast(({ party }) => party === 'agent');
  const about = { type: 'callback', when: '2027-03-04T10:00', channel: 'phone', to: '+442079460123', by: 'agent' };
  const bullet = (one) => ({ party: one.party, because: ['request'], citations: [cite(one)] });
  const question = (name, title, score, evidence, not_judged) => ({
    name,
    area: 'clarity',
    title,
    weight: 1,
    score,
    ...(not_judged ? { not_judged } : {}),
    evidence: evidence.filter(Boolean).map(cite),
  });
  const insight = {
    intent: null,
    summary_bullets: longest.map(({ text }) => text),
    sentiment: null,
    urgency: 'normal',
    entities: {},
    next_actions: last ? [{ ...about, text: last.text, citations: [cite(last)] }] : [],
    lead_stage_suggestion: null,
    confidence: 0.7,
    arc: moods.length === 0 ? null : {
      begins: moods[0].arc.valence,
      ends: moods.at(-1).arc.valence,
      mean: moods.reduce((sum, { arc }) => sum + arc.valence, 0) / moods.length,
      trend: moods.at(-1).arc.trend,
      turns: turned.map(({ turn }) => turn),
      satisfied: satisfied.map(({ utterance_id }) => utterance_id),
    },
    named: [],
    evidence: {
      summary_bullets: longest.map(bullet),
      urgency: [],
      turns: turned.map(({ turn }) => [turn.since, turn.trigger].map(of).filter(Boolean).map(cite)),
      satisfied: satisfied.map(({ utterance_id }) => cite(of(utterance_id))),
    },
  };
  const questions = [
    question('greeting', { en: 'Greets, and says who they are', fa: 'سلام می‌کند و خود را معرفی می‌کند' }, 1, [first]),
    question('pace', { en: 'Answers without letting the customer wait', fa: 'بی‌درنگ پاسخ می‌دهد' }, 0.4, [last]),
    question('sorry', { en: 'Answers a complaint with understanding', fa: 'به گلایه با همدلی پاسخ می‌دهد' }, null, [], 'did_not_happen'),
  ];
  return { insight, quality: { total: said.length > 0 ? 0.7 : null, areas: {}, questions: said.length > 0 ? questions : [] } };
}

/** Something that is named in a text, by which of its words. */
export function named(text, [kind, value, said]) {
  const start = [...text.slice(0, text.indexOf(said))].length;
  return { kind, value, chars: { start, end: start + [...said].length }, confidence: 0.8 };
}

/** What `CallState` of crates/call makes of events. */
export function stateOf(list) {
  const state = { seq: 0, started: null, ended: null, legs: [], utterances: [], shedding: null, paused: [] };
  const [byId, moods, intents, entities, redactions, checklist, steps] = Array.from({ length: 7 }, () => new Map());
  state.prompt = state.talk = null;
  state.cards = [];
  state.cards_not_shown = [];
  for (const { seq, at_ms, kind, ...body } of list) {
    state.seq = seq;
    if (kind === 'call_started') state.started = body;
    else if (kind === 'call_ended') [state.ended, state.prompt, state.cards] = [body, null, []];
    else if (kind === 'prompt') state.prompt = body;
    else if (kind === 'talk') state.talk = body;
    else if (kind === 'consent') state.consent = body;
    else if (kind === 'prompt_answered') state.prompt = null;
    else if (kind === 'card') state.cards = [...state.cards, body].slice(-2);
    else if (kind === 'card_held_back') state.cards_not_shown.push(body);
    else if (kind === 'card_answered' && body.answer !== 'copied')
      state.cards = state.cards.filter(({ card_id }) => card_id !== body.card_id);
    else if (kind === 'checklist') checklist.set(body.name, body);
    else if (kind === 'step') {
      const one = [body.document, body.passage, body.version, body.step].join(' ');
      steps.delete(one);
      if (body.ticked) steps.set(one, body);
    } else if (kind === 'leg_started') state.legs.push([body.party, body.codec]);
    else if (kind === 'load') state.shedding = body.shedding;
    else if (kind === 'paused') state.paused.push(body.party);
    else if (kind === 'resumed') state.paused = state.paused.filter((party) => party !== body.party);
    else if (kind === 'utterance') byId.set(body.utterance_id, body);
    else if (kind === 'mood') moods.set(body.utterance_id, body);
    else if (kind === 'intent') intents.set(body.utterance_id, body);
    else if (kind === 'entities') entities.set(body.utterance_id, body);
    else if (kind === 'redacted') redactions.set(body.utterance_id, body);
  }
  const sorted = (map) => [...map.values()].sort((a, b) => a.utterance_id - b.utterance_id);
  state.utterances = sorted(byId);
  state.moods = sorted(moods);
  state.intents = sorted(intents);
  state.entities = sorted(entities);
  state.redactions = sorted(redactions);
  state.checklist = [...checklist.values()];
  state.steps = [...steps.values()];
  return state;
}
