// Drains behind TLS and of plain TCP.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import https from 'node:https';
import test from 'node:test';
import tls from 'node:tls';
import { Agent, Peer, deferred } from './agent.mjs';
import { HTTPS, HTTPS_WITH_TERM, TLS_OF_CLIENT } from './apps.mjs';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const LONG = 60_000;
const NOTHING = { type: 'drained', cut: 0, websockets: 0 };

/** A connection over TLS. */
async function secure(app) {
  const socket = tls.connect({ port: app.port, host: '127.0.0.1', ...TLS_OF_CLIENT });
  await once(socket, 'secureConnect');
  return new Peer(socket);
}

test('https: idle connections are told, or half-closed', async (t) => {
  const app = await new Agent(t, HTTPS).serve();
  const [told, idle, silent] = [await secure(app), await secure(app), await secure(app)];
  await told.write(GET).reads('hello');
  await idle.write(GET).reads('hello');
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  await app.message('lingering');
  await told.write(GET).ends();
  assert.match(told.text, /keep-alive[^]*hello[^]*Connection: close[^]*hello$/);
  app.drain({ linger_ms: 0, drain_ms: LONG });
  await idle.ends();
  await silent.ends();
  assert.deepEqual(await app.message('drained'), NOTHING);
  assert.deepEqual([told.error, idle.error, silent.error], [undefined, undefined, undefined]);
});

test('https: requests in flight and half a head go to their end', async (t) => {
  const app = await new Agent(t, HTTPS_WITH_TERM).serve();
  const [held, half] = [await secure(app), await secure(app)];
  held.write('GET /hold HTTP/1.1\r\nHost: a\r\n\r\n');
  await app.prints(/request \/hold/);
  half.write('GET /');
  app.drain({ linger_ms: 0, drain_ms: LONG });
  await app.message('lingering');
  app.process.kill('SIGUSR2');
  await held.ends();
  assert.match(held.text, /Connection: close[^]*held$/);
  await app.message('draining');
  await half.write(' HTTP/1.1\r\nHost: a\r\n\r\n').ends();
  assert.match(half.text, /Connection: close[^]*hello$/);
  assert.deepEqual(await app.message('drained'), NOTHING);
  assert.deepEqual(await app.terminate(), { code: 0, signal: null });
  assert.match(app.stdout, /cb undefined false null\nexit 0 closed 1/);
});

test('https: a request that does not end is cut', async (t) => {
  const app = await new Agent(t, HTTPS).serve();
  const held = await secure(app);
  held.write('GET /hold HTTP/1.1\r\nHost: a\r\n\r\n');
  await app.prints(/request \/hold/);
  app.drain({ linger_ms: 0, drain_ms: 50 });
  await held.ends();
  assert.deepEqual(await app.message('drained'), { ...NOTHING, cut: 1 });
});

test('https: a handshake that is under way goes on', async (t) => {
  const app = await new Agent(t, HTTPS).serve();
  const bare = await app.connect();
  // As a record of TLS begins.
  bare.write(Buffer.from([0x16, 3, 1]));
  const other = await secure(app);
  await other.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n').ends();
  app.drain({ linger_ms: 0, drain_ms: 200 });
  await app.message('draining');
  assert.equal(bare.ended, false);
  await bare.ends();
  assert.deepEqual(await app.message('drained'), { ...NOTHING, cut: 1 });
});

test('https: event streams end at once', async (t) => {
  const app = await new Agent(t, HTTPS).serve();
  const { promise, resolve } = deferred();
  https.get({ port: app.port, path: '/events', agent: false, ...TLS_OF_CLIENT }, resolve);
  const response = await promise;
  await once(response, 'data');
  app.drain({ linger_ms: 0, drain_ms: LONG });
  await once(response.resume(), 'end');
  assert.deepEqual(await app.message('drained'), NOTHING);
});

test('plain TCP: connections end after what was written', async (t) => {
  const app = await new Agent(
    t,
    `require('node:net').createServer((socket) => {
      socket.on('data', (text) => socket.write('echo ' + text));
      setInterval(() => {
        socket.write('x');
        if (socket.writableEnded) console.log('late');
      }, 5);
    }).listen(8888);`,
  ).serve();
  const peer = await app.connect();
  peer.socket.allowHalfOpen = true;
  await peer.write('a').reads('echo a');
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  await peer.ends();
  assert.deepEqual(await app.message('drained'), NOTHING);
  await app.prints(/(?:late\n){3}/);
  assert.equal(app.stderr, '');
  assert.deepEqual(await app.terminate(), { code: null, signal: 'SIGTERM' });
});
