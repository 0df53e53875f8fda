// Asking now and then, for what nobody tells.

/**
 * Asks at once, and `again` every so often; gives the way to stop, which also gives up what is under way.
 */
export function every(
  ms: number,
  ask: (gone: AbortSignal) => void,
  again: (gone: AbortSignal) => void = ask,
): () => void {
  const gone = new AbortController();
  ask(gone.signal);
  const timer = setInterval(() => again(gone.signal), ms);
  return () => {
    clearInterval(timer);
    gone.abort();
  };
}
