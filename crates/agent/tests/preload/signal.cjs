'use strict';
const { once, greeter, done } = require('./lib.cjs');

async function main() {
  const abort = new AbortController();
  const server = greeter('signal');
  server.listen({ port: 8888, signal: abort.signal });
  await once(server, 'listening');
  abort.abort();
  await once(server, 'close');
}

main().then(done);
