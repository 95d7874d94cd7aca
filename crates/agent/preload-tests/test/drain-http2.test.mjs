// HTTP/2 sessions are told to go (GOAWAY), and their streams end.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import test from 'node:test';
import tls from 'node:tls';
import { Agent, Peer } from './agent.mjs';
import { HTTP2, HTTP2_SECURE, TLS_OF_CLIENT } from './apps.mjs';

const LONG = 60_000;
const NOTHING = { type: 'drained', cut: 0, websockets: 0 };

async function session(t, app, options) {
  const client = http2.connect(`${options ? 'https' : 'http'}://127.0.0.1:${app.port}`, options);
  client.on('error', () => {});
  t.after(() => client.destroy());
  await once(client, 'remoteSettings');
  return client;
}

function ask(client, path) {
  const stream = client.request({ ':path': path });
  stream.errors = [];
  stream.on('error', (error) => stream.errors.push(error));
  return stream;
}

async function text(stream) {
  let all = '';
  stream.setEncoding('utf8').on('data', (chunk) => (all += chunk));
  await once(stream, 'close');
  return all;
}

for (const [name, code, options] of [
  ['http2', HTTP2, undefined],
  ['http2 over TLS', HTTP2_SECURE, TLS_OF_CLIENT],
]) {
  test(`${name}: an idle session ends`, async (t) => {
    const app = await new Agent(t, code).serve();
    const client = await session(t, app, options);
    assert.equal(await text(ask(client, '/')), 'hello');
    const goaway = once(client, 'goaway');
    app.drain({ linger_ms: LONG, drain_ms: LONG });
    assert.equal((await goaway)[0], http2.constants.NGHTTP2_NO_ERROR);
    await once(client, 'close');
    assert.deepEqual(await app.message('drained'), NOTHING);
  });

  test(`${name}: a stream that is under way goes to its end`, async (t) => {
    const app = await new Agent(t, code).serve();
    const client = await session(t, app, options);
    const held = text(ask(client, '/hold'));
    await app.prints(/request \/hold/);
    app.drain({ linger_ms: 0, drain_ms: LONG });
    await app.message('lingering');
    app.process.kill('SIGUSR2');
    assert.equal(await held, 'held');
    assert.deepEqual(await app.message('drained'), NOTHING);
  });

  test(`${name}: an event stream ends at once`, async (t) => {
    const app = await new Agent(t, code).serve();
    const events = ask(await session(t, app, options), '/events');
    await once(events, 'data');
    app.drain({ linger_ms: LONG, drain_ms: LONG });
    await once(events, 'end');
    assert.deepEqual(await app.message('drained'), NOTHING);
    assert.doesNotMatch(app.stderr, /Error/);
  });

  test(`${name}: a stream that does not end is cut, an event stream is ended`, async (t) => {
    const app = await new Agent(t, code).serve();
    const client = await session(t, app, options);
    const [held, events] = [ask(client, '/hold'), ask(client, '/events')];
    const heard = text(events);
    await app.prints(/request \/events/);
    await once(events, 'data');
    app.drain({ linger_ms: 0, drain_ms: 100 });
    await once(held, 'close');
    assert.equal(held.rstCode, http2.constants.NGHTTP2_CANCEL);
    assert.match(await heard, /^data: first\n\n/);
    assert.deepEqual(events.errors, []);
    assert.deepEqual(await app.message('drained'), { ...NOTHING, cut: 1 });
    assert.doesNotMatch(app.stderr, /Error/);
  });
}

test('http2: an event stream that nobody reads holds nothing up', async (t) => {
  const app = await new Agent(
    t,
    `const server = require('node:http2').createServer().listen(8888);
    server.on('stream', (stream) => {
      stream.respond({ ':status': 200, 'content-type': 'text/event-stream' });
      stream.write('a'.repeat(16 * 1024 * 1024));
      setInterval(() => {
        stream.write('more');
        if (stream.writableEnded) console.log('late');
      }, 1);
    });`,
  ).serve();
  const events = ask(await session(t, app), '/');
  await once(events, 'response');
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  assert.deepEqual(await app.message('drained'), NOTHING);
  await app.prints(/(?:late\n){3}/);
  assert.equal((await app.terminate()).signal, 'SIGTERM');
  assert.equal(app.stderr, '');
});

test('http2 over TLS: a handshake that is under way is in flight', async (t) => {
  const app = await new Agent(t, HTTP2_SECURE).serve();
  const bare = await app.connect();
  bare.write(Buffer.from([0x16, 3, 1]));
  await text(ask(await session(t, app, TLS_OF_CLIENT), '/'));
  app.drain({ linger_ms: 0, drain_ms: 200 });
  assert.deepEqual(await app.message('drained'), { ...NOTHING, cut: 1 });
});

test('http2: a stream that comes while it lingers is waited for', async (t) => {
  const app = await new Agent(t, HTTP2).serve();
  const client = await session(t, app);
  const first = text(ask(client, '/hold'));
  await app.prints(/request \/hold/);
  app.drain({ linger_ms: 0, drain_ms: LONG });
  await app.message('lingering');
  assert.equal(await text(ask(client, '/')), 'hello');
  app.process.kill('SIGUSR2');
  assert.equal(await first, 'held');
  assert.deepEqual(await app.message('drained'), NOTHING);
  assert.deepEqual(await app.terminate(), { code: 0, signal: null });
  assert.match(app.stdout, /cb undefined false null\nexit 0 closed 1/);
});

test('http2: connections of HTTP/1 on the same server are told', async (t) => {
  const app = await new Agent(t, HTTP2_SECURE).serve();
  const options = { port: app.port, ALPNProtocols: ['http/1.1'], ...TLS_OF_CLIENT };
  const socket = tls.connect(options);
  await once(socket, 'secureConnect');
  const peer = new Peer(socket);
  const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
  await peer.write(get).reads('hello');
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  await app.message('lingering');
  await peer.write(get).ends();
  assert.match(peer.text, /Connection: keep-alive[^]*Connection: close[^]*hello$/);
  assert.deepEqual(await app.message('drained'), NOTHING);
});
