// Addresses of the page. Kept after the `#`: the server then has one page to serve, under any path.

export type Place =
  | { page: 'calls' }
  | { page: 'wall' }
  | { page: 'intents' }
  | { page: 'knowledge' }
  | { page: 'gaps' }
  | { page: 'teams' }
  | { page: 'jobs' }
  | { page: 'recordings' }
  | { page: 'contacts' }
  | { page: 'contact'; id: string }
  | { page: 'follow-ups' }
  | { page: 'review' }
  | { page: 'dashboard' }
  /** Where somebody looked for what was said in it, that is shown. */
  | { page: 'call'; id: string; said: number | null }
  | { page: 'missing' };

export function placeOf(hash: string): Place {
  const path = hash.replace(/^#?\/?/, '').replace(/\/$/, '');
  if (path === '' || path === 'calls') return { page: 'calls' };
  if (path === 'wall') return { page: 'wall' };
  if (path === 'intents') return { page: 'intents' };
  if (path === 'knowledge') return { page: 'knowledge' };
  if (path === 'knowledge/gaps') return { page: 'gaps' };
  if (path === 'teams') return { page: 'teams' };
  if (path === 'jobs') return { page: 'jobs' };
  if (path === 'recordings') return { page: 'recordings' };
  if (path === 'contacts') return { page: 'contacts' };
  if (path === 'review') return { page: 'review' };
  if (path === 'dashboard') return { page: 'dashboard' };
  if (path === 'follow-ups') return { page: 'follow-ups' };
  const contact = /^contacts\/([\w-]+)$/.exec(path);
  if (contact?.[1]) return { page: 'contact', id: contact[1] };
  const call = /^calls\/([\w-]+)(?:\/(\d{1,9}))?$/.exec(path);
  if (call?.[1]) return { page: 'call', id: call[1], said: call[2] === undefined ? null : Number(call[2]) };
  return { page: 'missing' };
}

export const href = {
  calls: '#/calls',
  wall: '#/wall',
  intents: '#/intents',
  knowledge: '#/knowledge',
  gaps: '#/knowledge/gaps',
  teams: '#/teams',
  jobs: '#/jobs',
  recordings: '#/recordings',
  contacts: '#/contacts',
  followUps: '#/follow-ups',
  contact: (id: string) => `#/contacts/${id}`,
  review: '#/review',
  dashboard: '#/dashboard',
  /** At something that was said in it. */
  call: (id: string, said?: number) => `#/calls/${id}${said === undefined ? '' : `/${said}`}`,
};
