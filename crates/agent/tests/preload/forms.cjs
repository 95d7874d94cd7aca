'use strict';
const { assert, HELD, once, greeting, greeter, close, done } = require('./lib.cjs');
const { spawnSync } = require('node:child_process');

// Each form would use up one duplicate; so each runs in a process of its own.
const FORMS = {
  port: (server, callback) => server.listen(8888, callback),
  'port and host': (server, callback) => server.listen(8888, '127.0.0.1', callback),
  'port, host and backlog': (server, callback) => server.listen(8888, '127.0.0.1', 100, callback),
  'port and backlog': (server, callback) => server.listen(8888, 100, callback),
  'port and undefined': (server, callback) => server.listen(8888, undefined, callback),
  'string port': (server, callback) => server.listen('8888', callback),
  'string port and host': (server, callback) => server.listen('8888', 'localhost', callback),
  options: (server, callback) => server.listen({ port: 8888 }, callback),
  'options with host': (server, callback) =>
    server.listen({ port: 8888, host: '0.0.0.0', backlog: 10, exclusive: true }, callback),
  'options with string port': (server, callback) => server.listen({ port: '8888' }, callback),
  'held port': (server, callback) => server.listen(HELD, callback),
  'event only': (server, callback) => server.on('listening', callback).listen(8888),
};

async function one(form) {
  const server = greeter(form);
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    const answer = FORMS[form](server, resolve);
    assert.equal(answer, server, 'listen answers the server');
  });
  assert.equal(server.listening, true);
  const expected = form === 'held port' ? HELD : 8888;
  assert.deepEqual(server.address(), { address: '127.0.0.1', family: 'IPv4', port: expected });
  assert.equal(await greeting(), form);
  await close(server);
  assert.equal(server.address(), null);
}

async function all() {
  // The first is this process itself; the others are started with what it was given.
  for (const form of Object.keys(FORMS)) {
    const ran = spawnSync(process.execPath, ['--require', PRELOAD, __filename, form], {
      env: { ...process.env, ...GIVEN },
      stdio: ['ignore', 'pipe', 'pipe', ...inherited()],
      encoding: 'utf8',
    });
    assert.equal(ran.stdout, 'ok\n', `${form}: ${ran.stderr}`);
  }
}

const PRELOAD = require.resolve('../../src/preload.cjs');
const GIVEN = {
  LOCKGATE_SOCKETS: JSON.stringify({
    sockets: [{ port: 8888, held: HELD, address: '127.0.0.1', fds: [10] }],
    node_options: null,
  }),
};

/** Descriptors 3 to 9 are nothing, 10 is the held socket. */
function inherited() {
  return [...Array(7).fill('ignore'), 10];
}

const form = process.argv[2];
(form ? one(form) : all()).then(done);
