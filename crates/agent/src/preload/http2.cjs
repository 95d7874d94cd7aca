// Sessions and streams of HTTP/2.
'use strict';

const { isEventStream } = require('./http.cjs');

/** Whether a server speaks HTTP/2; asked without loading `node:http2`. */
function isHttp2(server) {
  return typeof server.updateSettings === 'function';
}

/** What is open in this process. */
class Streams {
  changed = () => {};
  #sessions = new Set();
  #streams = new Map();

  /** For `watchServers`. */
  handlers() {
    return {
      session: (_, session) => {
        this.#await(session, this.#sessions);
        this.#sessions.add(session);
      },
      stream: (_, stream) => {
        this.#await(stream, this.#streams);
        this.#streams.set(stream, { old: false, ended: undefined });
      },
    };
  }

  /** From now on what is open was there before the drain. */
  age() {
    for (const entry of this.#streams.values()) entry.old = true;
  }

  /** Whether something from before the drain is in flight that will end by itself. */
  get hasOld() {
    return [...this.#streams].some(([stream, { old }]) => old && !isEvents(stream));
  }

  /** Whether a stream is in flight that was not ended. */
  get hasStreams() {
    return [...this.#streams.values()].some(({ ended }) => ended === undefined);
  }

  get hasSessions() {
    return this.#sessions.size > 0;
  }

  /** Lets sessions end: no new streams (GOAWAY), and event streams end now. */
  leave() {
    for (const session of this.#sessions) {
      if (!session.closed) session.close();
    }
    for (const [stream, entry] of this.#streams) {
      if (entry.ended === undefined && isEvents(stream)) {
        entry.ended = performance.now();
        stream.on('error', () => {});
        stream.end();
      }
    }
  }

  /** Cuts what is in flight, or only what is old; answers how many. */
  cut(onlyOld) {
    const late = [...this.#streams].filter(([, { old }]) => old || !onlyOld);
    for (const [stream] of late) {
      stream.on('error', () => {});
      stream.close(CANCEL);
    }
    return late.filter(([, { ended }]) => ended === undefined).length;
  }

  #await(it, all) {
    it.once('close', () => {
      all.delete(it);
      this.changed();
    });
  }
}

/** NGHTTP2_CANCEL. */
const CANCEL = 8;

function isEvents(stream) {
  return isEventStream(stream.sentHeaders?.['content-type']);
}

module.exports = { Streams, isHttp2 };
