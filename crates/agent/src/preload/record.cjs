// What the application does before its first `listen`, beside a process that still
// serves: files outside its release, connections, children.
//
// It cannot see what a native addon does and undoes before the gate (a file that is
// opened and closed again), nor what children and Workers do.
'use strict';

const { Places } = require('./places.cjs');
const { watchFiles } = require('./record-files.cjs');
const { watchConnections } = require('./record-connections.cjs');
const { watchStarts } = require('./record-starts.cjs');
const { openNow, openedSince } = require('./record-descriptors.cjs');
const { quietly } = require('./replace.cjs');

/**
 * How much of it is told, in bytes of JSON: several thousand acts. The supervisor takes
 * out what is allowed, and must not miss the one thing that is not; so it is told when
 * there was more.
 */
const MOST_BYTES = 512 * 1024;

class Record {
  #acts = new Map();
  /** What is left of `MOST_BYTES`. */
  #room = MOST_BYTES;
  /** Whether something did not fit. */
  #more = false;
  /** What links lead to: a descriptor knows no other name. */
  #reals = new Set();
  #places;
  #open = new Map();
  #connected = new Set();
  #restore = [];

  /** @param release the folder whose files do not count */
  constructor(release) {
    this.#places = new Places(release);
  }

  /** Begins to watch. */
  start() {
    this.#open = openNow();
    this.#restore = [
      ...watchFiles(this),
      ...watchConnections(this),
      ...watchStarts(this, this.#places),
    ];
  }

  /** Puts back what was watched, where the application has not replaced it itself. */
  stop() {
    this.#restore.forEach((it) => it());
    this.#acts.clear();
    this.#reals.clear();
  }

  /** A file was read or written; `how` is as for `Places.outside`. */
  file(kind, path, how) {
    const outside = this.#places.outside(kind, path, how);
    if (outside !== undefined) {
      this.#reals.add(`${kind} ${outside.real}`);
      this.act(kind, outside.absolute);
    }
  }

  /** A socket was connected. */
  connected(socket, to) {
    this.#connected.add(socket);
    this.act('connect', to);
  }

  /** @param kind `read`, `write`, `connect` or `start` */
  act(kind, what) {
    const name = `${kind} ${what}`;
    if (this.#acts.has(name)) {
      return;
    }
    const act = { kind, what };
    const size = Buffer.byteLength(JSON.stringify(act));
    if (size > this.#room) {
      this.#more = true;
      return;
    }
    this.#room -= size;
    this.#acts.set(name, act);
  }

  /** What was done so far, in order; at the end `more` than how many, where there was. */
  seen() {
    quietly(() => this.#opened());
    const acts = [...this.#acts.values()];
    return this.#more ? [...acts, { kind: 'more', what: String(acts.length) }] : acts;
  }

  #opened() {
    const known = new Set([...this.#connected].map((socket) => socket._handle?.fd));
    for (const { kind, what } of openedSince(this.#open, known)) {
      if (kind === 'connect') this.act(kind, what);
      else if (!this.#reals.has(`${kind} ${what}`)) this.file(kind, what);
    }
    this.#connected.clear();
  }
}

module.exports = { Record };
