import { describe, expect, it } from 'vitest';
import { backoff, Link, SILENCE_MS, type Env, type LinkState, type Socket } from './link';

/** A world in which time passes only when told to. */
class World implements Env {
  time = 0;
  isOnline = true;
  sockets: (Socket & { address: string; closed: boolean; sent: string[] })[] = [];
  timers: { at: number; then: () => void }[] = [];
  timersSet = 0;
  network: (() => void)[] = [];

  open(address: string) {
    const socket = {
      address,
      closed: false,
      sent: [] as string[],
      onopen: null,
      onmessage: null,
      onclose: null,
      onerror: null,
      send: (text: string) => void socket.sent.push(text),
      close: () => {},
    };
    socket.close = () => (socket.closed = true);
    this.sockets.push(socket);
    return socket;
  }
  now = () => this.time;
  random = () => 1;
  online = () => this.isOnline;
  after(ms: number, then: () => void) {
    const timer = { at: this.time + ms, then };
    this.timers.push(timer);
    this.timersSet++;
    return () => (this.timers = this.timers.filter((other) => other !== timer));
  }
  onNetwork(then: () => void) {
    this.network.push(then);
    return () => (this.network = this.network.filter((other) => other !== then));
  }
  pass(ms: number) {
    const until = this.time + ms;
    for (;;) {
      const next = this.timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.timers = this.timers.filter((timer) => timer !== next);
      this.time = next.at;
      next.then();
    }
    this.time = until;
  }
  get newest() {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error('no socket was opened');
    return socket;
  }
  say(message: unknown) {
    this.newest.onmessage?.({ data: typeof message === 'string' ? message : JSON.stringify(message) });
  }
  cut() {
    this.newest.onclose?.({} as never);
  }
}

function setUp(
  over: { onLost?: () => Promise<boolean>; onMessage?: (message: { seq: number }) => void } = {},
) {
  const world = new World();
  const states: LinkState[] = [];
  let seq = 0;
  const link = new Link<{ seq: number }>(
    {
      address: () => `?from=${seq}`,
      onMessage: over.onMessage ?? ((message) => (seq = message.seq)),
      onState: (state) => states.push(state),
      ...(over.onLost ? { onLost: over.onLost } : {}),
    },
    world,
  );
  return { world, states, link, at: () => states.at(-1)?.at };
}

describe('backoff', () => {
  it('doubles up to a ceiling, and half of it is chance', () => {
    expect([0, 1, 2, 3].map((n) => backoff(n, 1))).toEqual([500, 1000, 2000, 4000]);
    expect(backoff(0, 0)).toBe(250);
    expect(backoff(50, 1)).toBe(15_000);
    expect(backoff(5000, 0)).toBe(7_500);
  });
});

describe('Link', () => {
  it('is live once the server has said something', () => {
    const { world, at } = setUp();
    expect(at()).toBe('connecting');
    world.say({ seq: 1 });
    expect(at()).toBe('live');
  });

  it('comes back and goes on where it was', () => {
    const { world, states, at } = setUp();
    world.say({ seq: 7 });
    world.cut();
    expect(states.at(-1)).toEqual({ at: 'waiting', retryAt: 500, offline: false });
    world.pass(499);
    expect(world.sockets).toHaveLength(1);
    world.pass(1);
    expect(at()).toBe('retrying');
    expect(world.newest.address).toBe('?from=7');
    world.say({ seq: 8 });
    expect(at()).toBe('live');
  });

  it('connects anew when it is told that the network is another one', () => {
    const { world, link, at } = setUp();
    link.renew();
    expect(world.sockets).toHaveLength(1);
    world.say({ seq: 7 });
    const before = world.newest;
    link.renew();
    expect([before.closed, at(), world.newest.address]).toEqual([true, 'retrying', '?from=7']);
    // Once is enough, however often it is said.
    link.renew();
    expect(world.sockets).toHaveLength(2);
    world.say({ seq: 8 });
    expect(at()).toBe('live');
  });

  it('waits longer each time it gets nowhere, and starts afresh after a good connection', () => {
    const { world } = setUp();
    const opened: number[] = [];
    for (let i = 0; i < 4; i++) {
      opened.push(world.time);
      world.cut();
      world.pass(500 * 2 ** i);
    }
    expect(opened).toEqual([0, 500, 1500, 3500]);
    world.say({ seq: 1 });
    world.pass(5_000);
    world.say({ seq: 2 });
    const { length } = world.sockets;
    world.cut();
    world.pass(500);
    expect(world.sockets).toHaveLength(length + 1);
  });

  it('does not hammer a server that greets and hangs up', () => {
    const { world } = setUp();
    for (let i = 0; i < 20; i++) {
      world.say({ seq: i });
      world.cut();
      world.pass(1_000);
    }
    expect(world.sockets.length).toBeLessThan(8);
  });

  it('takes a silent connection for dead', () => {
    const { world, at } = setUp();
    world.say({ seq: 1 });
    world.pass(SILENCE_MS - 1);
    expect(at()).toBe('live');
    world.pass(1);
    expect(at()).toBe('waiting');
    expect(world.sockets[0]?.closed).toBe(true);
  });

  it('stays with a connection that keeps pinging', () => {
    const { world, at } = setUp({ onMessage: () => {} });
    for (let i = 0; i < 30; i++) {
      world.say({ seq: 0 });
      world.pass(5_000);
    }
    expect(at()).toBe('live');
    expect(world.sockets).toHaveLength(1);
  });

  it('sets few timers, however much it hears', () => {
    const { world, at } = setUp({ onMessage: () => {} });
    for (let i = 0; i < 1_000; i++) {
      world.say({ seq: 0 });
      world.pass(10);
    }
    expect(world.timersSet).toBeLessThan(12);
    world.pass(SILENCE_MS);
    expect(at()).not.toBe('live');
  });

  it.each([
    ['not JSON at all', '{{'],
    ['a message that cannot be applied', '{"seq":-1}'],
  ])('starts anew after %s', (_, data) => {
    const { world, at } = setUp({
      onMessage(message) {
        if (message.seq < 0) throw new Error('gap');
      },
    });
    world.say(data);
    expect(at()).toBe('waiting');
  });

  it('gives up when that is what the reason asks for', async () => {
    const { world, at } = setUp({ onLost: () => Promise.resolve(false) });
    world.cut();
    await Promise.resolve();
    await Promise.resolve();
    expect(at()).toBe('closed');
    world.pass(60_000);
    expect(world.sockets).toHaveLength(1);
  });

  it('does not ask for a reason when a working connection is cut', () => {
    let asked = 0;
    const { world } = setUp({ onLost: () => (asked++, Promise.resolve(true)) });
    world.say({ seq: 1 });
    world.cut();
    expect(asked).toBe(0);
  });

  it('tries at once when the network comes back, and says when there is none', () => {
    const { world, states, at } = setUp();
    world.say({ seq: 1 });
    world.isOnline = false;
    for (const tell of world.network) tell();
    expect(states.at(-1)).toMatchObject({ at: 'waiting', offline: true });
    world.isOnline = true;
    for (const tell of world.network) tell();
    expect(at()).toBe('retrying');
  });

  it('still tries without a network, for the server may be on this machine', () => {
    const { world, at } = setUp();
    world.isOnline = false;
    for (const tell of world.network) tell();
    world.pass(1_000);
    world.say({ seq: 1 });
    expect(at()).toBe('live');
  });

  it('says what there is somebody to hear, and only then', () => {
    const { world, link } = setUp();
    link.send({ type: 'early' });
    world.say({ seq: 1 });
    link.send({ type: 'ready' });
    world.cut();
    link.send({ type: 'late' });
    expect(world.sockets.flatMap((socket) => socket.sent)).toEqual(['{"type":"ready"}']);
  });

  it('hears nothing more once closed', () => {
    const heard: number[] = [];
    const { world, link, at } = setUp({ onMessage: ({ seq }) => heard.push(seq) });
    const { onmessage } = world.newest;
    world.say({ seq: 1 });
    link.close();
    onmessage?.({ data: '{"seq":2}' });
    world.pass(60_000);
    expect(heard).toEqual([1]);
    expect(at()).toBe('closed');
    expect(world.timers).toHaveLength(0);
    expect(world.network).toHaveLength(0);
  });
});
