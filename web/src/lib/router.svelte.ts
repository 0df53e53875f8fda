// Where in the page the reader is.

import { placeOf, type Place } from './place';

class Router {
  place: Place = $state.raw(placeOf(location.hash));
  /** The call last opened: its row has the focus again when the reader comes back. */
  lastCall: string | null = null;

  constructor() {
    window.addEventListener('hashchange', () => {
      this.place = placeOf(location.hash);
      if (this.place.page === 'call') this.lastCall = this.place.id;
    });
    if (this.place.page === 'call') this.lastCall = this.place.id;
  }

  go(to: string): void {
    location.hash = to;
  }
}

export const router = new Router();
