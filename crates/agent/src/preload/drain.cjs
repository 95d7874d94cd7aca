// Lets this process finish what it serves, so that it can be replaced.
//
//   still accepting: each answer says `Connection: close`
//        │  no idle connection is left that was not told so (at most `linger`),
//        │  no request from before the drain is in flight (at most `drain`)
//        ▼
//   not accepting: WebSockets, event streams and HTTP/2 sessions are ended, silent
//        │  connections half-closed; requests go to their end (at most what is left of
//        │  `drain`, and at least as long as was lingered: they have just come)
//        ▼
//   drained: alive and quiet, until the supervisor ends it
'use strict';

const { stopAccepting } = require('./accepting.cjs');
const { sendsEvents, tellToClose } = require('./http.cjs');
const { closeWebSocket } = require('./websocket.cjs');

/** How long a connection that was just accepted may take to say its first byte. */
const FIRST_BYTE_MS = 100;

/** How long a peer that was told to go is waited for. */
const LEAVE_MS = 100;

/** The least that requests have which came last, where nothing is lingered. */
const LATE_MS = 100;

class Drain {
  #parts;
  #phase = 'serving';
  #code;
  #drainMs = Infinity;
  #lingerMs = Infinity;
  /** Until when idle connections, old requests, requests at all are waited for. */
  #until = { idle: Infinity, old: Infinity, all: Infinity };
  /** When to look again at the latest. */
  #next = Infinity;
  #timer;
  #stepping = false;
  #cut = 0;
  #webSockets = 0;
  /** Until when a peer that was told to go is waited for: WebSockets, and all sessions. */
  #leaving = new Map();

  /** @param parts `{channel, connections, streams, taken}` */
  constructor(parts) {
    this.#parts = parts;
  }

  /** Follows the supervisor's order; a second one can only shorten the times. */
  begin({ linger_ms: lingerMs, drain_ms: drainMs, code }) {
    const now = performance.now();
    this.#code = code;
    this.#drainMs = Math.min(this.#drainMs, drainMs);
    this.#lingerMs = Math.min(this.#lingerMs, lingerMs);
    this.#shorten('idle', now + lingerMs);
    this.#shorten('old', now + drainMs);
    if (this.#phase === 'serving') {
      this.#phase = 'lingering';
      this.#tellAll();
      this.#parts.channel.say({ type: 'lingering' });
    } else if (this.#phase !== 'lingering') {
      this.#shorten('all', now + drainMs);
    }
    this.#step();
  }

  #shorten(what, until) {
    this.#until[what] = Math.min(this.#until[what], until);
  }

  #tellAll() {
    const { connections, streams } = this.#parts;
    connections.changed = () => this.#soon();
    connections.begun = (connection, entry) => {
      const isLast = () => [...connection.requests].at(-1) === entry;
      tellToClose(entry.response, isLast, () => {
        connection.told = true;
        this.#soon();
      });
    };
    for (const connection of connections) {
      if (connection.upgrade) connection.upgrade.old = true;
      for (const entry of connection.requests) {
        entry.old = true;
        connections.begun(connection, entry);
      }
    }
    streams.changed = () => this.#soon();
    streams.age();
  }

  /** Looks again when this turn of the event loop is over: many things change in one. */
  #soon() {
    if (!this.#stepping) {
      this.#stepping = true;
      setImmediate(() => this.#step());
    }
  }

  #step() {
    this.#stepping = false;
    const now = performance.now();
    this.#next = Infinity;
    if (this.#phase === 'lingering' && this.#mayStop(now)) this.#stop();
    else if (this.#phase === 'stopped') this.#finish(now);
    this.#wake(now);
  }

  #wake(now) {
    clearTimeout(this.#timer);
    const times = [this.#next, ...Object.values(this.#until)].filter((it) => it > now);
    const next = Math.min(...times);
    if (next < Infinity && this.#phase !== 'drained') {
      this.#timer = setTimeout(() => this.#step(), Math.ceil(next - now)).unref();
    }
  }

  /** Whether the time has not come yet; if so, looks again when it has. */
  #waits(until, now) {
    if (now < until) this.#next = Math.min(this.#next, until);
    return now < until;
  }

  #mayStop(now) {
    const { connections, streams } = this.#parts;
    const all = [...connections];
    const idle = now < this.#until.idle && all.some((it) => it.isIdle);
    const old = now < this.#until.old && (streams.hasOld || all.some(hasOld));
    return !idle && !old;
  }

  #stop() {
    const { channel, taken } = this.#parts;
    this.#phase = 'stopping';
    taken.servers().forEach((server) => stopAccepting(server, () => this.#forget()));
    channel.say({ type: 'draining' });
    const least = Math.min(Math.max(this.#lingerMs, LATE_MS), this.#drainMs);
    this.#shorten('all', Math.max(this.#until.old, performance.now() + least));
    // What has arrived already is read before anything is called silent.
    setImmediate(() =>
      setImmediate(() => {
        this.#phase = 'stopped';
        this.#step();
      }),
    );
  }

  /** Ends what can be ended, waits for the rest, cuts what is late. */
  #finish(now) {
    const { channel, connections, streams } = this.#parts;
    streams.leave();
    this.#cutLate(now);
    let waits = this.#streamsWait(now);
    const settle = (connection) => {
      waits = this.#settle(connection, now) || waits;
    };
    const all = [...connections];
    all.filter((it) => !it.isIdle).forEach(settle);
    // Whoever is silent may ask as long as others are waited for, and is told to go then.
    if (!waits) all.filter((it) => it.isIdle).forEach(settle);
    if (waits) {
      return;
    }
    this.#phase = 'drained';
    // What was just ended is on its way first.
    setImmediate(() => {
      channel.say({ type: 'drained', cut: this.#cut, websockets: this.#webSockets });
    });
  }

  /** Moves one connection towards its end; answers whether it is waited for. */
  #settle(connection, now) {
    if (connection.left || connection.kind === 'http2') {
      return false;
    }
    if (connection.kind === 'http') {
      return this.#settleHttp(connection, now);
    }
    if (connection.kind === 'upgraded' && !connection.upgrade.answered) {
      return true;
    }
    if (connection.upgrade?.webSocket && this.#closes(connection, now)) {
      return true;
    }
    return leave(connection);
  }

  #settleHttp(connection, now) {
    const { requests, socket, since, speaks, told } = connection;
    for (const entry of requests) {
      if (entry.ended === undefined && sendsEvents(entry.response)) {
        entry.ended = now;
        entry.response.on('error', () => {});
        entry.response.end();
      }
    }
    if (requests.size > 0) {
      const inFlight = ({ ended }) => ended === undefined || this.#waits(ended + LEAVE_MS, now);
      return [...requests].some(inFlight) || leave(connection);
    }
    // Node closes what was told as soon as its answer is written.
    if (told || speaks) {
      return !told;
    }
    const isFresh = socket.bytesRead === 0 && this.#waits(since + FIRST_BYTE_MS, now);
    return isFresh || leave(connection);
  }

  /** Closes a WebSocket; answers whether its peer may still do the same. */
  #closes(connection, now) {
    if (!this.#leaving.has(connection)) {
      this.#leaving.set(connection, now + LEAVE_MS);
      this.#webSockets += 1;
      closeWebSocket(connection.socket, this.#code);
    }
    return this.#waits(this.#leaving.get(connection), now);
  }

  #streamsWait(now) {
    const { streams } = this.#parts;
    if (streams.hasStreams) {
      return this.#waits(this.#until.all + LEAVE_MS, now);
    }
    if (!streams.hasSessions) {
      return false;
    }
    const until = this.#leaving.get(streams) ?? now + LEAVE_MS;
    this.#leaving.set(streams, until);
    return this.#waits(until, now);
  }

  #cutLate(now) {
    const { connections, streams } = this.#parts;
    const late = now >= this.#until.all;
    if (!late && now < this.#until.old) {
      return;
    }
    this.#cut += streams.cut(!late);
    for (const connection of [...connections]) {
      const count = connection.left ? 0 : inFlight(connection, late);
      if (count > 0) {
        this.#cut += count;
        connection.left = true;
        connection.socket.destroy();
      }
    }
  }

  /** The application closes a server: it need not wait for peers that were left. */
  #forget() {
    for (const { left, socket } of [...this.#parts.connections]) {
      if (left) socket.destroySoon?.();
    }
  }
}

/** Whether a request from before the drain is in flight that will end by itself. */
function hasOld({ left, upgrade, requests }) {
  if (left) return false;
  if (upgrade) return upgrade.old && !upgrade.answered;
  return [...requests].some(({ old, response }) => old && !sendsEvents(response));
}

/** How many requests are in flight: all, or only those from before the drain. */
function inFlight({ kind, upgrade, requests, speaks }, all) {
  if (kind === 'upgraded') {
    return !upgrade.answered && (all || upgrade.old) ? 1 : 0;
  }
  if (kind !== 'http') {
    return 0;
  }
  if (requests.size === 0) {
    return all && speaks ? 1 : 0;
  }
  return [...requests].filter(({ old, response }) => (all || old) && !sendsEvents(response)).length;
}

/** Ends our side of a connection, after what is written; answers that it is not waited for. */
function leave(connection) {
  connection.left = true;
  connection.socket.on('error', () => {});
  connection.socket.end();
  return false;
}

module.exports = { Drain };
