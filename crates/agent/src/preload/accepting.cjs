// Stops accepting on a held socket, unnoticed by the application.
'use strict';

/** The longest time that a timer of Node counts. */
const LONG_MS = 2 ** 31 - 1;

/**
 * Stands in for the handle of a server that accepts no more. The server still says
 * that it listens, and where; it keeps the process alive as it did, until the
 * application closes it, which works as ever.
 */
class StoppedHandle {
  #address = {};
  #error;
  #timer;
  #handle;
  #closed;

  constructor(handle, closed) {
    this.#handle = handle;
    this.#closed = closed;
    this.#error = handle.getsockname(this.#address);
    this.#timer = setInterval(() => {}, LONG_MS);
    if (!handle.hasRef()) this.#timer.unref();
  }

  get fd() {
    return -1;
  }

  getsockname(out) {
    Object.assign(out, this.#address);
    return this.#error;
  }

  getAsyncId() {
    return this.#handle.getAsyncId();
  }

  hasRef() {
    return this.#timer.hasRef();
  }

  ref() {
    this.#timer.ref();
  }

  unref() {
    this.#timer.unref();
  }

  close(callback) {
    clearInterval(this.#timer);
    this.#closed();
    if (callback) setImmediate(callback);
  }
}

/**
 * Closes this process's duplicate of the socket; the socket itself goes on.
 *
 * @param closed is called when the application closes the server
 */
function stopAccepting(server, closed) {
  const handle = server._handle;
  server._handle = new StoppedHandle(handle, closed);
  handle.close();
}

module.exports = { stopAccepting };
