// Gives a bare start a port of its own: the application names 8888 and nothing else,
// and several of them run on one host here. Costs well under a millisecond.
'use strict';

const { Server } = require('node:net');

const listen = Server.prototype.listen;
Server.prototype.listen = function (...args) {
  const [first] = args;
  if (first === 8888) args[0] = Number(process.env.BENCH_PORT);
  else if (first !== null && typeof first === 'object' && first.port === 8888)
    args[0] = { ...first, port: Number(process.env.BENCH_PORT) };
  return listen.apply(this, args);
};
