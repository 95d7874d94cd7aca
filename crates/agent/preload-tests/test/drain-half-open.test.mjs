// Clients that end their side when they have asked, and read on (`nc -N`, HTTP/1.0).

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import test from 'node:test';
import { Agent, Peer } from './agent.mjs';
import { HTTP, HTTP_WITH_TERM } from './apps.mjs';

const LONG = 60_000;
const NOTHING = { type: 'drained', cut: 0, websockets: 0 };

/** Node itself gives such clients up, unless it is told not to. */
const ALLOWED = 'server.httpAllowHalfOpen = true;';

/** Says on stdout when the other side has ended. */
const TOLD = "server.on('connection', (socket) => socket.on('end', () => console.log('ended')));";

/** More than the kernel keeps for a peer that does not read. */
const SIZE = 32 * 1024 * 1024;

const LARGE = `ROUTES['/large'] = (_, response) => held.push(() => response.end(Buffer.alloc(${SIZE}, 'a')));`;

/** A connection that has asked for this, and ended its side where it shall. */
async function asking(app, path, ended = true) {
  const peer = new Peer(net.connect({ port: app.port, host: '127.0.0.1', allowHalfOpen: true }));
  await once(peer.socket, 'connect');
  await oneMore(app, `request ${path}\n`, () => peer.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`));
  if (ended) await end(app, peer);
  return peer;
}

const end = (app, peer) => oneMore(app, 'ended\n', () => peer.socket.end());

/** Acts, and waits until the application says this once more. */
async function oneMore(app, line, act) {
  const count = () => app.stdout.split(line).length;
  const before = count();
  act();
  await app.until(`one more \`${line}\``, () => count() > before);
}

/** Lets the application go round some times: what it would do at once, it has done. */
async function turns(app) {
  for (let count = 0; count < 3; count += 1) await app.ask();
}

const serving = (t, code) => new Agent(t, `${code} ${TOLD}`).serve();

test('what ended its side before the drain is answered', async (t) => {
  const app = await serving(t, `${HTTP} ${ALLOWED}`);
  const peer = await asking(app, '/hold');
  app.drain({ linger_ms: 0, drain_ms: LONG });
  await app.message('lingering');
  await turns(app);
  app.process.kill('SIGUSR2');
  await peer.ends();
  assert.match(peer.text, /^HTTP\/1.1 200 [^]*\r\n\r\n[^]*held$/);
  assert.deepEqual(await app.message('drained'), NOTHING);
  assert.equal(peer.error, undefined);
});

test('what ends its side while it is waited for is answered', async (t) => {
  const app = await serving(t, `${HTTP} ${ALLOWED}`);
  const old = await asking(app, '/hold', false);
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  await app.message('lingering');
  const late = await asking(app, '/hold');
  await end(app, old);
  await turns(app);
  app.process.kill('SIGUSR2');
  for (const peer of [old, late]) {
    await peer.ends();
    assert.match(peer.text, /Connection: close[^]*held$/);
  }
  assert.deepEqual(await app.message('drained'), NOTHING);
});

test('a large answer to one who has ended its side, and reads slowly, arrives whole', async (t) => {
  const app = await serving(t, `${HTTP} ${ALLOWED} ${LARGE}`);
  const peer = await asking(app, '/large');
  peer.socket.pause().removeAllListeners('data');
  app.process.kill('SIGUSR2');
  app.drain({ linger_ms: 0, drain_ms: LONG });
  await app.message('lingering');
  await turns(app);
  let length = 0;
  let head = '';
  for await (const chunk of peer.socket) {
    length += chunk.length;
    if (!head.includes('\r\n\r\n')) head += chunk.toString('latin1');
  }
  assert.equal(length, head.indexOf('\r\n\r\n') + 4 + SIZE);
  assert.deepEqual(await app.message('drained'), NOTHING);
  assert.equal(peer.error, undefined);
});

test('an upload that ends with the connection is taken whole', async (t) => {
  const app = await serving(t, `${HTTP} ${ALLOWED}`);
  const peer = new Peer(net.connect({ port: app.port, host: '127.0.0.1', allowHalfOpen: true }));
  peer.write('POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\nfirst ');
  await app.prints(/request \/upload/);
  app.drain({ linger_ms: 0, drain_ms: LONG });
  await app.message('lingering');
  await turns(app);
  peer.socket.end('second');
  await peer.ends();
  assert.match(peer.text, /Connection: close[^]*took 12$/);
  assert.deepEqual(await app.message('drained'), NOTHING);
});

test('whoever Node itself gives up holds nothing up, and is not counted', async (t) => {
  const app = await serving(t, HTTP_WITH_TERM);
  const before = await asking(app, '/hold');
  await before.ends();
  const peer = await asking(app, '/hold', false);
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  await app.message('lingering');
  peer.socket.end();
  assert.deepEqual(await app.message('drained'), NOTHING);
  await peer.ends();
  assert.deepEqual([before.text, peer.text], ['', '']);
  assert.deepEqual(await app.terminate(), { code: 0, signal: null });
});
