'use strict';
const { assert, net, once, greeting, greeter, close, done } = require('./lib.cjs');

async function main() {
  const server = greeter('again');
  for (let round = 0; round < 4; round += 1) {
    server.listen(8888);
    await once(server, 'listening');
    assert.equal(await greeting(), 'again');
    await close(server);
  }
  server.listen(8888);
  const [error] = await once(server, 'error');
  assert.equal(error.code, 'ERR_LOCKGATE_LISTEN_LIMIT');
  assert.match(error.message, /port 8888 was listened on more than 4 times/);

  const reusing = net.createServer();
  reusing.listen({ port: 8888, reusePort: true });
  const [refused] = await once(reusing, 'error');
  assert.match(refused.message, /reusePort/);
}

main().then(done);
