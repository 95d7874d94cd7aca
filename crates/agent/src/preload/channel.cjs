// The channel to the supervisor: one end of a stream of lines, each a JSON object.
// Until the gate is open it is used synchronously, then as part of the event loop.
'use strict';

const fs = require('node:fs');
const { Socket } = require('node:net');

// The application may replace them, and until the gate they are watched.
const { readSync, writeSync } = fs;

/** How long to wait where a descriptor is not ready: nothing else can run meanwhile. */
const PAUSE_MS = 2;

class Channel {
  #fd;
  #socket;

  /** @param fd one end of a stream of bytes, inherited */
  constructor(fd) {
    this.#fd = fd;
  }

  /** Says one message, at once where nothing has been said for long. */
  say(message) {
    const line = `${JSON.stringify(message)}\n`;
    if (this.#socket) {
      this.#socket.write(line);
      return;
    }
    const bytes = Buffer.from(line);
    for (let sent = 0, count = 1; sent < bytes.length && count > 0; sent += count) {
      count = patiently(() => writeSync(this.#fd, bytes, sent));
    }
  }

  /** Waits for one byte, with everything in this process standing still. */
  byte() {
    const byte = Buffer.alloc(1);
    return patiently(() => readSync(this.#fd, byte, 0, 1, null)) > 0 ? byte[0] : undefined;
  }

  /** From now on calls the handler named by each message's type. */
  follow(handlers) {
    const socket = new Socket({ fd: this.#fd, readable: true, writable: true });
    this.#socket = socket.unref();
    let rest = '';
    socket.setEncoding('utf8');
    socket.on('data', (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      for (const message of lines.map((line) => JSON.parse(line))) {
        handlers[message.type]?.(message);
      }
    });
    // Without a supervisor the kernel ends this process.
    socket.on('error', () => {});
  }
}

/** Reads or writes, again until the descriptor is ready; 0 where it has an end. */
function patiently(act) {
  for (;;) {
    try {
      return act();
    } catch (error) {
      if (error.code === 'EAGAIN') {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
      } else if (error.code !== 'EINTR') {
        return 0;
      }
    }
  }
}

module.exports = { Channel };
