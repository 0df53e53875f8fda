// What the telephone remembers in this tab alone, so that it goes on where it was after the page was loaded anew, or
// the server was.

export interface Kept {
  /** Whose it is: somebody else may have signed in since. */
  agent: string;
  /** The agent takes calls. */
  ready: boolean;
  /** The call whose outcome is left to be written down. */
  after: string | null;
  /** The call whose customer does not hear the agent. */
  muted: string | null;
}

const KEY = 'sotto.phone';

function read(): Kept | null {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? 'null') as Kept | null;
  } catch {
    return null; // storage is switched off: it is remembered as long as the page
  }
}

let now = read();

export const kept = (): Kept | null => now;

export function keep(what: Kept | null): void {
  now = what;
  try {
    if (what) sessionStorage.setItem(KEY, JSON.stringify(what));
    else sessionStorage.removeItem(KEY);
  } catch {
    // As above.
  }
}
