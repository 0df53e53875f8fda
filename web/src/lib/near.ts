// Tells elements of a long list when they come near the part that is seen, with one observer for all of them.

export class Nearness {
  #tell = new WeakMap<Element, (near: boolean) => void>();
  #observer: IntersectionObserver;

  /** “Near” is a screen above and below. */
  constructor() {
    this.#observer = new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) this.#tell.get(target)?.(isIntersecting);
      },
      { rootMargin: '100% 0px' },
    );
  }

  /** Gives the way to stop. */
  watch(element: Element, tell: (near: boolean) => void): () => void {
    this.#tell.set(element, tell);
    this.#observer.observe(element);
    return () => this.#observer.unobserve(element);
  }
}
