// A process stands still at its first `listen` until the supervisor says go.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { Agent, Held, temporary } from './agent.mjs';

const FIRST = {
  'a free port': ["net.createServer().listen(0)", 'a free port'],
  'a metrics port': ["net.createServer().listen({ port: 39217, host: '127.0.0.1' })", 'port 39217'],
  'a path': ["net.createServer().listen(__dirname + '/s')", /^path .*\/s$/],
  'a path in options': ["net.createServer().listen({ path: __dirname + '/s' })", /^path .*\/s$/],
  'a descriptor': ['net.createServer().listen({ fd: 6 })', 'descriptor 6'],
  http: ["http.createServer().listen(8888)", 'port 8888'],
  'https without a certificate': ["require('node:https').createServer().listen('8888')", 'port 8888'],
  http2: ["require('node:http2').createServer().listen(8888)", 'port 8888'],
  'a datagram socket': ["dgram.createSocket('udp4').bind(0, '127.0.0.1')", 'udp'],
  'a datagram port': ["dgram.createSocket('udp4').bind({ port: 39218, address: '127.0.0.1' })", 'udp port 39218'],
  'a datagram that is sent': ["dgram.createSocket('udp4').send('x', 39219, '127.0.0.1')", 'udp'],
  'a datagram socket that connects': ["dgram.createSocket('udp4').connect(39219, '127.0.0.1')", 'udp'],
};

for (const [name, [listen, at]] of Object.entries(FIRST)) {
  test(`the gate is at the first of any kind: ${name}`, async (t) => {
    const app = new Agent(
      t,
      `const net = require('node:net'), http = require('node:http'), dgram = require('node:dgram');
      console.log('loaded');
      ${listen};
      console.log('passed');`,
    );
    const said = await app.message('gate');
    if (typeof at === 'string') assert.equal(said.at, at);
    else assert.match(said.at, at);
    assert.deepEqual(said.seen, []);
    await app.prints(/loaded/);
    assert.doesNotMatch(app.stdout, /passed/);
    app.go();
    await app.prints(/passed/);
    assert.deepEqual(app.messages.filter((type) => type === 'gate'), ['gate']);
  });
}

test('a bound socket of newer Node waits too', async (t) => {
  const app = new Agent(
    t,
    `const net = require('node:net');
    if (net.BoundSocket) new net.BoundSocket({ port: 0 }); else net.createServer().listen(0);
    console.log('passed');`,
  );
  assert.match((await app.message('gate')).at, /^a (?:bound socket|free port)$/);
  app.go();
  await app.prints(/passed/);
});

test('what an ES module imports by name is what it was before, once the gate is open', async (t) => {
  const app = new Agent(
    t,
    `import { readFileSync } from 'node:fs'; import { Worker } from 'node:worker_threads';
    import { createServer } from 'node:net'; import { createRequire } from 'node:module';
    const require = createRequire(import.meta.url);
    const [file, worker] = [readFileSync, Worker];
    createServer().listen(0, '127.0.0.1');
    console.log('put back', file !== readFileSync, worker !== Worker, readFileSync === require('fs').readFileSync);`,
    { module: true },
  );
  await app.message('gate');
  app.go();
  await app.prints(/put back true true true/);
});

test('the end of the channel ends a held process', async (t) => {
  const app = new Agent(t, "require('node:net').createServer().listen(8888); console.log('passed');");
  await app.message('gate');
  app.channel.end();
  assert.deepEqual(await app.exited, { code: null, signal: 'SIGKILL' });
  assert.equal(app.stdout, '');
});

test('any other byte ends a held process', async (t) => {
  const app = new Agent(t, "require('node:net').createServer().listen(8888); console.log('passed');");
  await app.message('gate');
  app.go('g');
  assert.deepEqual(await app.exited, { code: null, signal: 'SIGKILL' });
  assert.equal(app.stdout, '');
});

/** Says in a shared log when it is past its first `listen`, and when it is gone. */
const LOCKED = `
  const fs = require('node:fs'), http = require('node:http');
  const { LOCK } = process.env;
  const server = http.createServer((_, response) => response.end(String(process.pid)));
  server.listen(8888);
  fs.writeFileSync(LOCK, String(process.pid), { flag: 'wx' });
  process.on('SIGTERM', () => server.close(() => fs.unlinkSync(LOCK)));
`;

test('of two that run at once, never two are past the first listen', async (t) => {
  const held = new Held(t);
  const env = { LOCK: path.join(temporary(t), 'lock') };
  let serving = await new Agent(t, LOCKED, { held, env }).serve();
  for (let round = 0; round < 4; round += 1) {
    const next = new Agent(t, LOCKED, { held, env });
    await next.message('gate');
    // It takes nothing while the old one serves.
    for (let count = 0; count < 20; count += 1) {
      assert.equal((await serving.get()).text, String(serving.pid));
    }
    assert.equal(fs.readFileSync(env.LOCK, 'utf8'), String(serving.pid));
    serving.drain({ linger_ms: 0 });
    await serving.message('drained');
    const asked = next.get();
    assert.deepEqual(await serving.terminate(), { code: 0, signal: null });
    assert.deepEqual(next.messages, ['gate']);
    next.go();
    // It waited in the socket's queue meanwhile.
    assert.equal((await asked).text, String(next.pid));
    serving = next;
  }
  assert.equal(serving.stderr, '');
});
