// WebSockets are told to come back, and do.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import test from 'node:test';
import WebSocket from 'ws';
import { Agent, Held } from './agent.mjs';
import { HAND_WRITTEN, TLS_OF_CLIENT, WS, WSS } from './apps.mjs';

const LONG = 60_000;

/** A client of `ws` that is connected. */
async function connected(t, app, { scheme = 'ws', path = '/', ...options } = {}) {
  const socket = new WebSocket(`${scheme}://127.0.0.1:${app.port}${path}`, options);
  t.after(() => socket.terminate());
  socket.errors = [];
  socket.on('error', (error) => socket.errors.push(error));
  await once(socket, 'open');
  return socket;
}

/** The code with which it is closed. */
async function closed(socket) {
  const [code] = await once(socket, 'close');
  assert.deepEqual(socket.errors, []);
  return code;
}

for (const [scheme, code, options] of [
  ['ws', WS, {}],
  ['wss', WSS, TLS_OF_CLIENT],
]) {
  test(`${scheme}: every WebSocket is closed with the code, and the other end hears it`, async (t) => {
    const app = await new Agent(t, code).serve();
    const sockets = [];
    for (let count = 0; count < 3; count += 1) sockets.push(await connected(t, app, { scheme, ...options }));
    sockets[0].send('a');
    assert.equal(String((await once(sockets[0], 'message'))[0]), 'a');
    app.drain({ linger_ms: LONG, drain_ms: LONG });
    assert.deepEqual(await Promise.all(sockets.map(closed)), [1012, 1012, 1012]);
    await app.prints(/(?:closed with 1012\n){3}/);
    assert.deepEqual(await app.message('drained'), { type: 'drained', cut: 0, websockets: 3 });
    assert.equal(app.stderr, '');
  });
}

test('when nothing comes after, the code says so', async (t) => {
  const app = await new Agent(t, WS).serve();
  const socket = await connected(t, app);
  app.drain({ code: 1001 });
  assert.equal(await closed(socket), 1001);
});

test('a WebSocket that comes back waits for the next process', async (t) => {
  const held = new Held(t);
  const app = await new Agent(t, WS, { held }).serve();
  const next = new Agent(t, WS, { held });
  await next.message('gate');
  const socket = await connected(t, app);
  const again = once(socket, 'close').then(() => connected(t, app));
  app.drain();
  await app.message('drained');
  await app.terminate();
  next.go();
  const returned = await again;
  await next.prints(/connected/);
  returned.terminate();
});

test('WebSockets that are written by hand, and one that never stops', async (t) => {
  const app = await new Agent(t, HAND_WRITTEN).serve();
  const sockets = [await connected(t, app), await connected(t, app, { path: '/busy' })];
  await once(sockets[1], 'message');
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  assert.deepEqual(await Promise.all(sockets.map(closed)), [1012, 1012]);
  assert.deepEqual(await app.message('drained'), { type: 'drained', cut: 0, websockets: 2 });
  assert.equal(app.stderr, '');
});

const UPGRADE = (path, protocol = 'websocket') =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n`;

test('a WebSocket whose other end is gone holds nothing up', async (t) => {
  const app = await new Agent(t, HAND_WRITTEN).serve();
  const peer = await app.connect();
  await peer.write(UPGRADE('/')).reads('\r\n\r\n');
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  assert.deepEqual(await app.message('drained'), { type: 'drained', cut: 0, websockets: 1 });
  await peer.ends();
  assert.deepEqual([...peer.received.subarray(-4)], [0x88, 2, 0x03, 0xf4]);
});

test('a request for a WebSocket that is not granted yet is in flight', async (t) => {
  const app = await new Agent(t, HAND_WRITTEN).serve();
  const [before, late] = [await app.connect(), await app.connect()];
  before.write(UPGRADE('/held'));
  await app.prints(/upgrade \/held/);
  app.drain({ linger_ms: 0, drain_ms: LONG });
  await app.message('lingering');
  late.write(UPGRADE('/held'));
  await app.prints(/(?:upgrade \/held\n){2}/);
  assert.deepEqual(app.messages.slice(-1), ['lingering']);
  app.process.kill('SIGUSR2');
  for (const peer of [before, late]) {
    await peer.reads('101 Switching Protocols');
    await peer.ends();
    assert.deepEqual([...peer.received.subarray(-4)], [0x88, 2, 0x03, 0xf4]);
  }
  assert.deepEqual(await app.message('drained'), { type: 'drained', cut: 0, websockets: 2 });
});

test('a request for a WebSocket that is never granted is cut, one that is refused is not', async (t) => {
  const app = await new Agent(t, HAND_WRITTEN).serve();
  const [never, refused, denied] = [await app.connect(), await app.connect(), await app.connect()];
  never.write(UPGRADE('/held'));
  await refused.write(UPGRADE('/refused')).ends();
  assert.match(refused.text, /403/);
  await denied.write(UPGRADE('/denied')).reads('\r\n\r\n');
  await app.prints(/upgrade \/held/);
  app.drain({ linger_ms: 0, drain_ms: 100 });
  await never.ends();
  await denied.ends();
  assert.match(denied.text, /\r\n\r\n$/);
  assert.deepEqual(await app.message('drained'), { type: 'drained', cut: 1, websockets: 0 });
});

test('another protocol is ended, and told nothing of WebSockets', async (t) => {
  const app = await new Agent(t, HAND_WRITTEN).serve();
  const peer = await app.connect();
  await peer.write(UPGRADE('/', 'other')).reads('\r\n\r\n');
  const before = peer.received.length;
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  await peer.ends();
  assert.equal(peer.received.length, before);
  assert.deepEqual(await app.message('drained'), { type: 'drained', cut: 0, websockets: 0 });
});
