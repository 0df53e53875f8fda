import { describe, expect, it } from 'vitest';
import { extentFor, ticks } from './axis';
import { called, daysBetween, dialled, direction, format, shortAddress } from './format';

const en = format('en-GB');
const fa = format('fa-IR');

describe('in English', () => {
  it('writes positions', () => {
    expect([0, 999, 7_000, 725_000, 3_765_000, -5].map(en.clock)).toEqual([
      '0:00',
      '0:00',
      '0:07',
      '12:05',
      '1:02:45',
      '0:00',
    ]);
  });
  it('writes lengths', () => {
    expect([0, 42_000, 60_000, 252_000, 3_600_000, 3_765_000].map(en.length)).toEqual([
      '0 secs',
      '42 secs',
      '1 min',
      '4 mins 12 secs',
      '1 hr',
      '1 hr 2 mins',
    ]);
  });
  it('writes seconds finely while they are few', () => {
    expect([780, 4_260, 9_960, 12_400].map(en.seconds)).toEqual(['0.8', '4.3', '10', '12']);
  });
  it('says how long ago something was', () => {
    const noon = new Date(2026, 2, 10, 12).getTime();
    const ago = (days: number) => en.ago(noon - days * 86_400_000, noon);
    expect([-1, 0, 1, 29, 91, 359, 365, 800].map(ago)).toEqual([
      'today',
      'today',
      'yesterday',
      '29 days ago',
      '3 months ago',
      '12 months ago',
      'last year',
      '2 years ago',
    ]);
    expect(fa.ago(noon - 91 * 86_400_000, noon)).toContain('۳');
  });
  it('names days from where the reader stands', () => {
    const noon = new Date(2026, 2, 10, 12).getTime();
    const day = 86_400_000;
    expect(en.day(noon, noon)).toBe('Today');
    expect(en.day(noon - day, noon)).toBe('Yesterday');
    expect(en.day(noon - 3 * day, noon)).toContain('March');
    expect(en.day(noon - 200 * day, noon)).toContain('2025');
    // A server whose clock runs ahead does not make tomorrow's calls.
    expect(en.day(noon + day, noon)).toBe('Today');
  });
});

describe('in Persian', () => {
  it('uses its own digits', () => {
    expect(fa.clock(725_000)).toBe('۱۲:۰۵');
    expect(fa.seconds(780)).toBe('۰٫۸');
    expect(fa.digits('+98 912')).toBe('+۹۸ ۹۱۲');
    expect(fa.time(new Date(2026, 2, 10, 9, 5).getTime())).toBe('۰۹:۰۵');
  });
  it('uses its own calendar', () => {
    expect(fa.dateTime(new Date(2026, 2, 21, 9, 5).getTime())).toContain('فروردین');
    expect(fa.moment(new Date(2026, 2, 21, 9, 5).getTime())).toContain('۱۴۰۵');
  });
  it('names days', () => {
    const noon = new Date(2026, 2, 10, 12).getTime();
    expect([0, 1].map((ago) => fa.day(noon - ago * 86_400_000, noon))).toEqual(['امروز', 'دیروز']);
  });
});

describe('days', () => {
  it('are counted by midnights', () => {
    expect(daysBetween(new Date(2026, 0, 1, 23, 59).getTime(), new Date(2026, 0, 2, 0, 1).getTime())).toBe(1);
    expect(daysBetween(new Date(2026, 0, 2, 0, 1).getTime(), new Date(2026, 0, 2, 23, 59).getTime())).toBe(0);
  });
});

describe('names', () => {
  it.each([
    ['sip:+989121234567@pbx.example;user=phone', '+989121234567'],
    ['sips:mina@office.example', 'mina'],
    ['tel:+4930123456', '+4930123456'],
    ['sip:%D9%85ina@x', 'مina'],
    ['sip:%zz@x', '%zz'],
    ['sip:pbx.example', 'pbx.example'],
    ['', ''],
  ])('shortens %s', (aor, short) => expect(shortAddress(aor)).toBe(short));

  it('prefers the name, then the address, then says that it knows none', () => {
    expect(called({ party: 'agent', name: ' Mina ', aor: 'sip:1@x' })).toBe('Mina');
    expect(called({ party: 'agent', name: '  ', aor: 'sip:1@x' })).toBe('1');
    expect(called({ party: 'agent' })).toBeNull();
    expect(called(undefined)).toBeNull();
  });
});

describe('a number to dial', () => {
  it('is what telephones know, in whatever figures it was written', () => {
    expect(dialled(' +۹۸ ۲۱ ۱۲۳۴ ')).toBe('+98 21 1234');
    expect(dialled('٠٣٠-(12)')).toBe('030-(12)');
    expect(dialled(' تیم ۲ ')).toBe('تیم ۲');
  });
});

describe('money', () => {
  it('has the currency, and in Persian tomans for rials', () => {
    expect(format('en-GB').money('1250.50', 'EUR')).toBe('€1,250.50');
    expect(format('en-GB').money('2500000', 'IRR')).toMatch(/^IRR\s2,500,000$/);
    expect(format('fa-IR').money('2500000', 'IRR')).toBe('۲۵۰٬۰۰۰ تومان');
    expect(format('fa-IR').money('125', 'IRR')).toBe('۱۲٫۵ تومان');
  });

  it('is not rounded where the browser counts a currency in whole ones', () => {
    expect(format('en-GB').money('10.50', 'RSD')).toMatch(/^RSD\s10\.50$/);
    expect(format('en-GB').money('1.255', 'IQD')).toMatch(/^IQD\s1\.255$/);
  });
});

describe('direction', () => {
  it('goes by the language, whatever its region', () => {
    expect(['fa', 'fa-IR', 'AR', 'he'].map(direction)).toEqual(['rtl', 'rtl', 'rtl', 'rtl']);
    expect(['en', 'de-DE', '', null, undefined].map(direction)).toEqual(['ltr', 'ltr', 'ltr', 'ltr', 'ltr']);
  });
});

describe('the axis of a live call', () => {
  it('stands still for a while, and always has room', () => {
    expect([0, 30_000, 58_000, 59_500, 290_000].map(extentFor)).toEqual([
      60_000,
      60_000,
      60_000 * 1,
      120_000,
      300_000,
    ]);
    for (let ms = 1; ms < 2e8; ms = Math.ceil(ms * 1.3)) expect(extentFor(ms)).toBeGreaterThanOrEqual(ms);
  });
  it('has few and round marks', () => {
    for (let ms = 5_000; ms < 4e8; ms = Math.ceil(ms * 1.37)) expect(ticks(ms).length).toBeLessThanOrEqual(8);
    expect(ticks(60_000)).toEqual([10_000, 20_000, 30_000, 40_000, 50_000]);
  });
});
