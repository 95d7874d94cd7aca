// The primary of a cluster listens for its workers, and so takes the held socket.
'use strict';

const cluster = require('node:cluster');
const { assert, greeting, greeter, done } = require('./lib.cjs');

if (cluster.isPrimary) {
  cluster.fork();
  cluster.fork();
  let listening = 0;
  cluster.on('listening', async (_, { port }) => {
    assert.equal(port, 8888);
    listening += 1;
    if (listening < 2) return;
    assert.equal(await greeting(), 'from a worker');
    cluster.disconnect(done);
  });
} else {
  greeter('from a worker').listen(8888, '127.0.0.1');
}
