// How loud something is, for bars that show it.

/** How often bars move: the eye asks for no more. */
const LOOK_EVERY_MS = 80;

/** Tells how loud a stream is, from 0 to 1 on a scale of 60 dB, while the page is looked at; gives the way to stop. */
export function listen(context: AudioContext, stream: MediaStream, tell: (level: number) => void): () => void {
  const source = context.createMediaStreamSource(stream);
  const analyser = context.createAnalyser();
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    if (document.hidden) return;
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    tell(Math.min(1, Math.max(0, 1 + (10 * Math.log10(power + 1e-9)) / 60)));
  }, LOOK_EVERY_MS);
  return () => {
    clearInterval(timer);
    source.disconnect();
  };
}
