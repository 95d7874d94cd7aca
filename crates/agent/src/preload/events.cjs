// Hears what happens to the servers of this process, without being one of their
// listeners: a listener for `upgrade` alone changes what a server does.
'use strict';

const { Server } = require('node:net');
const { quietly } = require('./replace.cjs');

/**
 * Calls `handlers[event](server, ...args)` before the listeners of an event of any
 * server: net, tls, http, https, http2.
 */
function watchServers(handlers) {
  const heard = Object.assign(Object.create(null), handlers);
  const { emit } = Server.prototype;

  Object.defineProperty(Server.prototype, 'emit', {
    configurable: true,
    writable: true,
    value: function (event, ...args) {
      const hear = typeof event === 'string' ? heard[event] : undefined;
      if (hear !== undefined) {
        // An application may emit the same names with other things.
        quietly(() => hear(this, ...args));
      }
      return emit.call(this, event, ...args);
    },
  });
}

module.exports = { watchServers };
