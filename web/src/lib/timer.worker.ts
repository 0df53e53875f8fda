// See timer.ts.

const running = new Map<number, ReturnType<typeof setTimeout>>();

onmessage = ({ data: [id, ms] }: MessageEvent<[number, number | null]>) => {
  clearTimeout(running.get(id));
  running.delete(id);
  if (ms === null) return;
  const ring = () => {
    running.delete(id);
    postMessage(id);
  };
  running.set(id, setTimeout(ring, ms));
};
