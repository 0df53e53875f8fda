// What the reader chose, kept in this browser. public/boot.js applies it before the first paint.

export type Language = 'en' | 'fa';
export type Theme = 'auto' | 'light' | 'dark';

function read(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // storage is switched off: choices last as long as the page
  }
}

function write(key: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // As above.
  }
}

class Prefs {
  #language: Language = $state(document.documentElement.lang === 'fa' ? 'fa' : 'en');
  #theme: Theme = $state((document.documentElement.dataset['theme'] as Theme | undefined) ?? 'auto');
  #devices = $state.raw({ audioinput: read('sotto.audioinput'), audiooutput: read('sotto.audiooutput') });
  #rate = $state(Number(read('sotto.rate')) || 1);

  get language(): Language {
    return this.#language;
  }
  set language(language: Language) {
    this.#language = language;
    write('sotto.language', language);
    document.documentElement.lang = language;
    document.documentElement.dir = language === 'fa' ? 'rtl' : 'ltr';
  }

  get theme(): Theme {
    return this.#theme;
  }
  set theme(theme: Theme) {
    this.#theme = theme;
    write('sotto.theme', theme === 'auto' ? null : theme);
    if (theme === 'auto') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = theme;
  }

  /** The device of this kind that the reader wants, by the browser's id; absent for the system's choice. */
  device(kind: 'audioinput' | 'audiooutput'): string | null {
    return this.#devices[kind];
  }
  setDevice(kind: 'audioinput' | 'audiooutput', id: string | null): void {
    this.#devices = { ...this.#devices, [kind]: id };
    write(`sotto.${kind}`, id);
  }

  /** Playback speed. */
  get rate(): number {
    return this.#rate;
  }
  set rate(rate: number) {
    this.#rate = rate;
    write('sotto.rate', String(rate));
  }
}

export const prefs = new Prefs();
