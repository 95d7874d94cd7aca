// Hears what happens to the servers of this process, without being one of their
// listeners: a listener for `upgrade` alone changes what a server does.
'use strict';

const { Server } = require('node:net');

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
      if (typeof event === 'string') {
        heard[event]?.(this, ...args);
      }
      return emit.call(this, event, ...args);
    },
  });
}

module.exports = { watchServers };
