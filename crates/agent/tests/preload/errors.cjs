'use strict';
const { assert, greeter, once, close, done } = require('./lib.cjs');

async function main() {
  const server = greeter('errors');
  server.listen(8888);
  await once(server, 'listening');
  assert.throws(() => server.listen(8888), { code: 'ERR_SERVER_ALREADY_LISTEN' });
  assert.throws(() => greeter('').listen(99999), { code: 'ERR_SOCKET_BAD_PORT' });
  assert.throws(() => greeter('').listen({ port: 'x' }), { code: 'ERR_SOCKET_BAD_PORT' });
  assert.throws(() => greeter('').listen({}), { code: 'ERR_INVALID_ARG_VALUE' });
  await close(server);
}

main().then(done);
