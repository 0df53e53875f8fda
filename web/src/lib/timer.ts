// A timer that keeps time while nobody looks at the page: browsers let a hidden page's own run once a minute, and
// an agent who works in another tab would be without a telephone for that long after each loss of the line.

const waiting = new Map<number, () => void>();
let worker: Worker | null = null;
let last = 0;

/** Does something after a time; gives the way to prevent it. */
export function after(ms: number, then: () => void): () => void {
  if (!worker) {
    worker = new Worker(new URL('./timer.worker.ts', import.meta.url), { type: 'module' });
    worker.onmessage = ({ data: id }: MessageEvent<number>) => {
      const due = waiting.get(id);
      waiting.delete(id);
      due?.();
    };
  }
  const id = ++last;
  waiting.set(id, then);
  worker.postMessage([id, ms]);
  return () => {
    if (waiting.delete(id)) worker?.postMessage([id, null]);
  };
}
