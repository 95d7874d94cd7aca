// The supervisor asks on a private socket; the application answers by itself.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import test from 'node:test';
import { Agent, Peer, after } from './agent.mjs';
import { HTTP2, HTTP2_SECURE, HTTP_WITH_TERM, HTTPS } from './apps.mjs';

const LONG = 60_000;

const SERVERS = {
  http: HTTP_WITH_TERM,
  https: HTTPS,
  express: `
    const app = require('express')();
    app.set('trust proxy', 'loopback');
    app.use((request, response, next) => {
      console.log('asked by', request.ip, request.ips, request.hostname, request.protocol, request.secure);
      next();
    });
    app.get('/', (_, response) => response.send('hello'));
    app.listen(8888);`,
  fastify: `
    const app = require('fastify')({ logger: true, trustProxy: true });
    app.get('/', async (request) => {
      console.log('asked by', request.ip, request.ips, request.hostname, request.protocol);
      return 'hello';
    });
    app.listen({ port: 8888 });`,
};

for (const [name, code] of Object.entries(SERVERS)) {
  test(`${name} answers on the private socket`, async (t) => {
    const app = await new Agent(t, code).serve();
    assert.equal((await app.message('listening')).speaks, 'http');
    for (let count = 0; count < 3; count += 1) {
      const { status, text } = await app.ask();
      assert.deepEqual({ status, text }, { status: 200, text: 'hello' });
    }
    assert.equal(app.stderr, '');
  });
}

test('an application behind TLS believes that it is asked over TLS', async (t) => {
  const code = `${HTTPS} ROUTES['/secure'] = ({ socket }, response) =>
    response.end(JSON.stringify([socket.encrypted, socket.authorized, socket.getPeerCertificate(true), socket.getProtocol()]));`;
  const app = await new Agent(t, code).serve();
  assert.deepEqual(JSON.parse((await app.ask('/secure')).text), [true, false, {}, null]);
});

for (const [name, code, speaks] of [
  ['http2', HTTP2, 'http2'],
  ['http2 over TLS', HTTP2_SECURE, 'http2'],
  ['net', "require('node:net').createServer().listen(8888)", 'raw'],
  ['tls', "require('node:tls').createServer({}).listen(8888)", 'raw'],
]) {
  test(`${name} is not asked: that it listens is enough`, async (t) => {
    const app = await new Agent(t, code).serve();
    assert.deepEqual(await app.message('listening'), { type: 'listening', port: 8888, speaks });
    await assert.rejects(app.ask(), { code: /^(?:ECONNRESET|EPIPE)$/ });
  });
}

test('who asks before anything listens waits until something does', async (t) => {
  const app = new Agent(
    t,
    `const http = require('node:http'), net = require('node:net');
    net.createServer().listen(0, '127.0.0.1', () => console.log('other'));
    const late = () => http.createServer((_, response) => response.end('late')).listen(8888);
    process.once('SIGUSR2', () => {
      const first = http.createServer((_, response) => response.end('first'));
      first.listen(8888, () => first.close(() => {
        process.once('SIGUSR2', late);
        console.log('between');
      }));
    });`,
  );
  await app.message('gate');
  app.go();
  await app.prints(/other/);
  assert.deepEqual(app.messages, ['gate']);
  app.process.kill('SIGUSR2');
  await app.prints(/between/);
  const asked = app.ask();
  app.process.kill('SIGUSR2');
  assert.equal((await asked).text, 'late');
  assert.equal((await app.ask()).text, 'late');
});

test('who asked at the start is answered once something listens', async (t) => {
  const app = new Agent(t, HTTP_WITH_TERM);
  const asked = app.ask();
  await app.message('gate');
  app.go();
  assert.equal((await asked).text, 'hello');
});

test('of two servers on the port the first is asked, and then the other', async (t) => {
  const app = await new Agent(
    t,
    `const http = require('node:http');
    const [one, two] = ['one', 'two'].map((name) => http.createServer((_, response) => response.end(name)));
    process.on('SIGUSR2', () => one.close(() => console.log('closed')));
    one.listen(8888, () => two.listen(8888, () => console.log('both')));`,
  ).serve();
  await app.prints(/both/);
  assert.equal((await app.ask()).text, 'one');
  app.process.kill('SIGUSR2');
  await app.prints(/closed/);
  assert.equal((await app.ask()).text, 'two');
});

test('another socket is not what is asked about', async (t) => {
  const app = new Agent(
    t,
    `const http = require('node:http');
    process.on('SIGUSR2', () => http.createServer((_, response) => response.end('main')).listen(8888));
    http.createServer((_, response) => response.end('metrics')).listen(0, '127.0.0.1', () => console.log('metrics'));`,
  );
  await app.message('gate');
  app.go();
  await app.prints(/metrics/);
  assert.deepEqual(app.messages, ['gate']);
  app.process.kill('SIGUSR2');
  await app.message('listening');
  assert.equal((await app.ask()).text, 'main');
});

test('what the supervisor asks is not in flight, and keeps nothing open', async (t) => {
  const app = await new Agent(t, HTTP_WITH_TERM).serve();
  const asking = net.connect(app.held.path);
  await once(asking, 'connect');
  const peer = new Peer(asking);
  peer.write('GET /hold HTTP/1.1\r\nHost: a\r\n\r\n');
  await app.prints(/request \/hold/);
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  assert.deepEqual(await app.message('drained'), { type: 'drained', cut: 0, websockets: 0 });
  assert.equal((await app.ask()).text, 'hello');
  app.process.kill('SIGUSR2');
  await peer.reads('held');
  asking.destroy();
  assert.deepEqual(await app.terminate(), { code: 0, signal: null });
  assert.match(app.stdout, /cb undefined false null\nexit 0 closed 1/);
});

test('an application whose last server closes ends by itself, whoever asks', async (t) => {
  const app = await new Agent(t, `${HTTP_WITH_TERM} process.on('SIGUSR1', () => server.close());`).serve();
  assert.equal((await app.ask()).text, 'hello');
  app.process.kill('SIGUSR1');
  assert.deepEqual(await app.exited, { code: 0, signal: null });
});

/** Connections of ours towards the held socket that it has no place for yet. */
function refusedPlace({ port }) {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const lines = fs.readFileSync('/proc/self/net/tcp', 'utf8').split('\n');
  return lines.filter((line) => new RegExp(`: \\S+ \\S+:${hex} 02 `).test(line)).length;
}

test('a full queue at the door does not keep the supervisor from asking', async (t) => {
  const app = await new Agent(t, HTTP_WITH_TERM).serve();
  // Nobody accepts there any more, and few may wait.
  app.drain();
  await app.message('drained');
  app.held.queue(4);
  const clients = Array.from({ length: 12 }, () =>
    net.connect(app.port, '127.0.0.1').on('error', () => {}),
  );
  after(t, () => clients.forEach((client) => client.destroy()));
  await app.until('a full queue', () => refusedPlace(app) > 0);
  for (let count = 0; count < 3; count += 1) {
    assert.equal((await app.ask()).text, 'hello');
  }
  assert.ok(refusedPlace(app) > 0, 'the queue is still full');
});

const ADDRESSES = `({ socket }) => JSON.stringify({
  remote: [socket.remoteAddress.replace('::ffff:', ''), socket.remoteFamily, typeof socket.remotePort],
  local: [socket.localAddress, socket.localFamily, socket.localPort],
  bound: socket.address(),
})`;

for (const [name, code] of [
  ['http', `require('node:http').createServer((request, response) => response.end((${ADDRESSES})(request))).listen(8888)`],
  ['https', `${HTTPS} ROUTES['/'] = (request, response) => response.end((${ADDRESSES})(request));`],
  [
    'a handler of connections',
    `const server = require('node:http').createServer((request, response) => response.end(request.socket.told)).listen(8888);
    server.on('connection', (socket) => (socket.told = (${ADDRESSES})({ socket })))`,
  ],
]) {
  test(`who asks has an address, as every client: ${name}`, async (t) => {
    const app = await new Agent(t, code).serve();
    assert.deepEqual(JSON.parse((await app.ask()).text), {
      remote: ['127.0.0.1', 'IPv4', 'number'],
      local: ['127.0.0.1', 'IPv4', 8888],
      bound: { address: '127.0.0.1', family: 'IPv4', port: 8888 },
    });
  });
}

for (const [name, code] of [
  [
    'express',
    `const app = require('express')();
    app.set('trust proxy', 'loopback');
    app.get('/', (request, response) => response.send(request.ip.replace('::ffff:', '') + ' ' + request.ips));
    app.listen(8888);`,
  ],
  [
    'fastify',
    `const app = require('fastify')({ trustProxy: 'loopback' });
    app.get('/', async (request) => request.ip.replace('::ffff:', '') + ' ' + request.ips.slice(1));
    app.listen({ port: 8888 });`,
  ],
]) {
  test(`who asks has an address for ${name}, behind a proxy and without`, async (t) => {
    const app = await new Agent(t, code).serve();
    assert.equal((await app.ask()).text, '127.0.0.1 ');
    const headers = { 'x-forwarded-for': '10.1.2.3' };
    assert.equal((await app.ask('/', { headers })).text.split(' ')[0], '10.1.2.3');
  });
}
