// Keeps the newest words in sight for as long as the reader does not look elsewhere.
//
// The page below the last line stays empty for a few lines. New words fill that space without moving anything;
// only when it is used up does the text go up, once, and the space is there again. A reader who scrolls up is
// left alone until they come back to the end by themselves.

/** New words stay at least this far from the lower edge. */
const ROOM = 44;
/** What counts as being at the end, in CSS pixels. */
const AT_END = 24;
/** How long after a gesture a movement is the reader's. */
const GESTURE_MS = 500;
/** How long after opening heights still change: fonts arrive, lines are measured. */
const SETTLING_MS = 1_500;

export class Follower {
  following = $state.raw(true);

  #scroller: HTMLElement | null = null;
  #last: HTMLElement | null = null;
  #top = 0;
  #gestureUntil = 0;
  #upUntil = 0;
  /** A smooth movement of ours is under way. */
  #gliding = false;
  /** Before this the page is still being laid out, and goes to its place without a show. */
  #calmUntil = 0;
  #dragging = false;

  /** `list` grows inside of `scroller`. Gives the way to stop. */
  watch(scroller: HTMLElement, list: HTMLElement): () => void {
    this.#scroller = scroller;
    this.#last = list;
    const gesture = (event: Event) => {
      if (event.type === 'pointerdown') this.#dragging = true;
      this.#gestureUntil = performance.now() + GESTURE_MS;
      // A wheel turned upwards is clear before anything has moved, and nothing may cancel it.
      if (event instanceof WheelEvent && event.deltaY < 0 && scroller.scrollTop > 0) {
        this.following = false;
        this.#upUntil = this.#gestureUntil;
        if (this.#gliding) scroller.scrollTo({ top: scroller.scrollTop, behavior: 'instant' });
        this.#gliding = false;
      }
    };
    const release = () => {
      this.#dragging = false;
    };
    const scrolled = () => this.#scrolled(scroller);
    const arrived = () => {
      this.#gliding = false;
    };
    this.#calmUntil = performance.now() + SETTLING_MS;
    for (const kind of ['wheel', 'touchmove', 'pointerdown', 'keydown']) {
      scroller.addEventListener(kind, gesture, { passive: true });
    }
    window.addEventListener('pointerup', release);
    scroller.addEventListener('scroll', scrolled, { passive: true });
    scroller.addEventListener('scrollend', arrived, { passive: true });
    const grown = new ResizeObserver(() => this.#grown());
    grown.observe(list);
    grown.observe(scroller);
    this.#toEnd(false);
    return () => {
      grown.disconnect();
      for (const kind of ['wheel', 'touchmove', 'pointerdown', 'keydown'])
        scroller.removeEventListener(kind, gesture);
      window.removeEventListener('pointerup', release);
      scroller.removeEventListener('scroll', scrolled);
      scroller.removeEventListener('scrollend', arrived);
    };
  }

  /** Back to the newest words. */
  resume(): void {
    this.following = true;
    this.#toEnd(true);
  }

  /** The page itself is about to show the reader another place. */
  yield(): void {
    this.following = false;
  }

  #scrolled(scroller: HTMLElement): void {
    const rest = scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop;
    const up = scroller.scrollTop < this.#top;
    this.#top = scroller.scrollTop;
    // The first pixels of a movement upwards are still at the end; they count all the same.
    if (up && (this.#dragging || performance.now() < this.#gestureUntil)) this.following = false;
    else if (!up && rest <= AT_END && performance.now() > this.#upUntil) this.following = true;
  }

  #grown(): void {
    const scroller = this.#scroller;
    const last = this.#last;
    if (!this.following || !scroller || !last) return;
    const end = last.getBoundingClientRect().bottom;
    const edge = scroller.getBoundingClientRect().bottom;
    if (end > edge - ROOM) this.#toEnd(end - edge < scroller.clientHeight / 2);
  }

  #toEnd(smoothly: boolean): void {
    const scroller = this.#scroller;
    if (!scroller) return;
    const calm =
      performance.now() < this.#calmUntil || matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.#gliding = smoothly && !calm;
    scroller.scrollTo({ top: scroller.scrollHeight, behavior: this.#gliding ? 'smooth' : 'instant' });
  }
}
