// Connections that are opened. A datagram needs an address, and taking one is the gate.
'use strict';

const { Socket } = require('node:net');
const { precede } = require('./replace.cjs');

/** Watches what net, tls, http, http2 and `fetch` connect with. */
function watchConnections(record) {
  return [
    precede(Socket.prototype, 'connect', (socket, args) => {
      record.connected(socket, target(args));
    }),
  ];
}

/** `host:port`, or the path of a unix socket. */
function target(args) {
  // Node's own callers pass their arguments as one array.
  const [first, second] = Array.isArray(args[0]) ? args[0] : args;
  if (typeof first === 'object' && first !== null) {
    return first.path ? String(first.path) : `${first.host || 'localhost'}:${first.port}`;
  }
  const isPort = typeof first === 'number' || /^\d+$/.test(first);
  return isPort ? `${typeof second === 'string' ? second : 'localhost'}:${first}` : String(first);
}

module.exports = { watchConnections };
