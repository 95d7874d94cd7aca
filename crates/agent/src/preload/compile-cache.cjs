// Writes what Node has compiled (NODE_COMPILE_CACHE) while this process runs, since
// one that is killed would not write it at its end.
'use strict';

const { subscribe, unsubscribe } = require('node:diagnostics_channel');
const nodeModule = require('node:module');

/** When it is written where no request comes. */
const LATEST_MS = 2_000;

/** Writes it after the first finished request. */
function flushCompileCache() {
  // Node 22.10 and newer.
  if (nodeModule.flushCompileCache === undefined) {
    return;
  }
  const flush = () => {
    unsubscribe('http.server.response.finish', flush);
    clearTimeout(timer);
    setImmediate(() => nodeModule.flushCompileCache());
  };
  const timer = setTimeout(flush, LATEST_MS).unref();
  subscribe('http.server.response.finish', flush);
}

module.exports = { flushCompileCache };
