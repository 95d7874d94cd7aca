// The connections that this process has accepted, and what is in flight on them.
'use strict';

const { subscribe } = require('node:diagnostics_channel');
const { awaitAnswer, isWebSocket } = require('./websocket.cjs');
const { isHttp2 } = require('./http2.cjs');

/** One connection, from the moment it is accepted. */
class Connection {
  /** What the application speaks on: the TLS socket, where there is TLS. */
  socket;
  /** When it was accepted. */
  since = performance.now();
  /** HTTP/1 requests that are not answered: `{request, response, old, ended}`. */
  requests = new Set();
  /** An answer said `Connection: close`. */
  told = false;
  /** A request for another protocol: `{webSocket, answered, old}`. */
  upgrade;
  /** We have ended our side: nothing is expected of it any more. */
  left = false;

  #accepted;
  #server;
  #http;
  /** How much had been read when the last request was done with. */
  #read = 0;
  /** The last request, answered before all of it was read. */
  #unread;

  constructor(socket, server) {
    this.socket = socket;
    this.#accepted = socket;
    this.join(server);
  }

  /** Another server took it over: what listens may only have looked at it. */
  join(server) {
    this.#server = server;
    // What has `closeIdleConnections` keeps HTTP/1 connections.
    this.#http = typeof server.closeIdleConnections === 'function' && !isHttp2(server);
  }

  /** TLS was agreed upon. */
  secure(socket) {
    this.socket = socket;
  }

  started(entry) {
    this.#http = true;
    this.requests.add(entry);
  }

  finished(request) {
    for (const entry of this.requests) {
      if (entry.request === request) this.requests.delete(entry);
    }
    this.#unread = request.complete ? undefined : request;
    this.#read = this.socket.bytesRead;
  }

  /** `http`, `http2`, `upgraded` or `raw`. */
  get kind() {
    if (this.upgrade) return 'upgraded';
    if (this.#http) return 'http';
    if (!isHttp2(this.#server)) return 'raw';
    // Its session says what is in flight, once there is one.
    if (!this.#shakesHands()) return this.socket.alpnProtocol === 'http/1.1' ? 'http' : 'http2';
    return 'http';
  }

  /** Whether something has come that is not yet a whole request's head, or handshake. */
  get speaks() {
    if (this.#unread?.complete) {
      this.#unread = undefined;
      this.#read = this.socket.bytesRead;
    }
    return this.#unread === undefined && this.socket.bytesRead > this.#read;
  }

  /** Whether nothing is in flight, and the peer does not know that it shall go. */
  get isIdle() {
    return (
      this.kind === 'http' && !this.told && !this.left && this.requests.size === 0 && !this.speaks
    );
  }

  /** Whether TLS is not agreed upon yet. */
  #shakesHands() {
    return this.socket === this.#accepted && typeof this.#server.setSecureContext === 'function';
  }
}

/** All connections. `changed` is called when one is gone, or a request begins or ends. */
class Connections {
  changed = () => {};
  /** Called with the connection and each new request on it. */
  begun = () => {};
  #of = new WeakMap();
  #all = new Set();
  /** Those of the supervisor, which asks whether this process is ready. */
  #foreign = new WeakSet();

  [Symbol.iterator]() {
    return this.#all.values();
  }

  /** Leaves out a socket on which the supervisor asks, or a server for such. */
  leaveOut(it) {
    this.#foreign.add(it);
  }

  /** For `watchServers`. */
  handlers() {
    const upgrade = (_, request, socket) => this.#upgrade(request, socket);
    return {
      connection: (server, socket) => this.#accept(server, socket),
      secureConnection: (_, socket) => this.#secure(socket),
      upgrade,
      connect: upgrade,
    };
  }

  /** From now on hears of requests. */
  watchRequests() {
    subscribe('http.server.request.start', ({ request, response, socket }) => {
      const connection = this.#of.get(socket);
      if (connection === undefined) return;
      const entry = { request, response, old: false, ended: undefined };
      connection.started(entry);
      this.begun(connection, entry);
    });
    subscribe('http.server.response.finish', ({ request, socket }) => {
      const connection = this.#of.get(socket);
      if (connection === undefined) return;
      connection.finished(request);
      this.changed();
    });
  }

  #accept(server, socket) {
    if (this.#foreign.has(socket) || this.#foreign.has(server)) return;
    const known = this.#of.get(socket);
    if (known) {
      known.join(server);
      return;
    }
    const connection = new Connection(socket, server);
    socket.once('close', () => {
      this.#all.delete(connection);
      this.changed();
    });
    this.#of.set(socket, connection);
    this.#all.add(connection);
  }

  #secure(socket) {
    const connection = this.#of.get(socket._parent);
    if (connection === undefined) return;
    connection.secure(socket);
    this.#of.set(socket, connection);
  }

  #upgrade(request, socket) {
    const connection = this.#of.get(socket);
    // One server may hand it on to another.
    if (connection === undefined || connection.upgrade) return;
    const upgrade = { webSocket: isWebSocket(request), answered: false, old: false };
    connection.upgrade = upgrade;
    awaitAnswer(socket, (granted) => {
      upgrade.answered = true;
      upgrade.webSocket &&= granted;
      this.changed();
    });
  }
}

module.exports = { Connections };
