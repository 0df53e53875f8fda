// What the browser's tab says: who calls while it rings, otherwise what the page is.

class Title {
  page = $state('');
}

export const title = new Title();
