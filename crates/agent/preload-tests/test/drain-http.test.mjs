// HTTP/1 while a process is replaced: nothing that was asked is lost.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { Agent, Held } from './agent.mjs';
import { HTTP, HTTP_WITH_TERM } from './apps.mjs';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const LONG = 60_000;

/** An application that serves. */
const serving = (t, code = HTTP) => new Agent(t, code).serve();

/** A connection on which one request was answered, and which stays. */
async function idle(app) {
  const peer = await app.connect();
  await peer.write(GET).reads('hello');
  assert.match(peer.text, /Connection: keep-alive/);
  peer.received = Buffer.alloc(0);
  return peer;
}

/** A connection with a request that the application holds. */
async function holding(app, path = '/hold', head = '') {
  const peer = await app.connect();
  peer.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n${head}\r\n`);
  await app.prints(new RegExp(`request ${path}\n`));
  return peer;
}

/** What the drain cost. */
async function drained(app) {
  const { cut, websockets } = await app.message('drained');
  assert.deepEqual(app.messages.slice(-3), ['lingering', 'draining', 'drained']);
  return { cut, websockets };
}

const NOTHING = { cut: 0, websockets: 0 };

test('an idle connection is told with its next answer, and closed after it', async (t) => {
  const app = await serving(t);
  const peer = await idle(app);
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  await app.message('lingering');
  await peer.write(GET).ends();
  assert.match(peer.text, /^HTTP\/1.1 200 [^]*Connection: close[^]*hello$/);
  assert.deepEqual(await drained(app), NOTHING);
  assert.equal(peer.error, undefined);
});

test('it accepts while it lingers', async (t) => {
  const app = await serving(t);
  const peer = await idle(app);
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  await app.message('lingering');
  for (let count = 0; count < 5; count += 1) {
    const keepAlive = { headers: { connection: 'keep-alive' } };
    assert.equal((await app.get('/', keepAlive)).headers.connection, 'close');
  }
  assert.deepEqual(app.messages.slice(-1), ['lingering']);
  await peer.write(GET).ends();
  assert.deepEqual(await drained(app), NOTHING);
});

test('a connection that stays idle is half-closed when it was lingered for', async (t) => {
  const app = await serving(t);
  const peer = await idle(app);
  app.drain({ linger_ms: 50, drain_ms: LONG });
  await peer.ends();
  assert.equal(peer.text, '');
  assert.deepEqual(await drained(app), NOTHING);
  assert.equal(peer.error, undefined);
});

test('a connection that never says anything is half-closed', async (t) => {
  const app = await serving(t);
  const silent = await app.connect();
  await app.get();
  app.drain({ linger_ms: 0, drain_ms: LONG });
  await silent.ends();
  assert.deepEqual(await drained(app), NOTHING);
});

test('connections whose peers never close hold nothing up, also not the end', async (t) => {
  const app = await serving(t, HTTP_WITH_TERM);
  const peers = [await app.connect(), await idle(app)];
  for (const peer of peers) peer.socket.allowHalfOpen = true;
  app.drain({ linger_ms: 0, drain_ms: LONG });
  assert.deepEqual(await drained(app), NOTHING);
  assert.deepEqual(await app.terminate(), { code: 0, signal: null });
});

test('a head that is not complete is in flight', async (t) => {
  const app = await serving(t);
  const [fresh, again] = [await app.connect(), await idle(app)];
  fresh.write('GET / HT');
  again.write('GET / HTTP/1.1\r\nHo');
  await app.get();
  app.drain({ linger_ms: 0, drain_ms: LONG });
  await app.message('draining');
  fresh.write('TP/1.1\r\nHost: a\r\n\r\n');
  again.write('st: a\r\n\r\n');
  for (const peer of [fresh, again]) {
    await peer.ends();
    assert.match(peer.text, /Connection: close[^]*hello$/);
  }
  assert.deepEqual(await drained(app), NOTHING);
});

test('a request that is being answered is waited for, and its answer tells', async (t) => {
  const app = await serving(t);
  const peer = await holding(app);
  app.drain({ linger_ms: 0, drain_ms: LONG });
  await app.message('lingering');
  assert.equal((await app.get()).text, 'hello', 'it still accepts');
  app.process.kill('SIGUSR2');
  await peer.ends();
  assert.match(peer.text, /Connection: close[^]*held$/);
  assert.deepEqual(await drained(app), NOTHING);
});

test('an answer whose head is sent already ends as it began', async (t) => {
  const app = await serving(t);
  const peer = await holding(app, '/stream');
  await peer.reads('begun');
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  await app.message('lingering');
  app.process.kill('SIGUSR2');
  await peer.reads('ended');
  assert.match(peer.text, /Connection: keep-alive/);
  // Its connection was not told: it is with the next answer.
  await peer.write(GET).ends();
  assert.match(peer.text, /Connection: close[^]*hello$/);
  assert.deepEqual(await drained(app), NOTHING);
});

test('a request that comes while it lingers is waited for after it', async (t) => {
  const app = await serving(t);
  const stays = await idle(app);
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  await app.message('lingering');
  const peer = await holding(app);
  app.drain({ linger_ms: 0, drain_ms: LONG });
  await app.message('draining');
  app.process.kill('SIGUSR2');
  await peer.ends();
  assert.match(peer.text, /Connection: close[^]*held$/);
  await stays.ends();
  assert.deepEqual(await drained(app), NOTHING);
});

test('whoever is silent may ask as long as another is waited for', async (t) => {
  const app = await serving(t);
  const [silent, again] = [await app.connect(), await idle(app)];
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  await app.message('lingering');
  const peer = await holding(app);
  app.drain({ linger_ms: 0, drain_ms: LONG });
  await app.message('draining');
  for (const late of [silent, again]) {
    await late.write(GET).ends();
    assert.match(late.text, /Connection: close[^]*hello$/);
  }
  app.process.kill('SIGUSR2');
  await peer.ends();
  assert.deepEqual(await drained(app), NOTHING);
});

test('an upload goes to its end', async (t) => {
  const app = await serving(t);
  const peer = await app.connect();
  peer.write('POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\nfirst ');
  await app.prints(/request \/upload/);
  app.drain({ linger_ms: 0, drain_ms: LONG });
  await app.message('lingering');
  await peer.write('second').ends();
  assert.match(peer.text, /Connection: close[^]*took 12$/);
  assert.deepEqual(await drained(app), NOTHING);
});

test('the rest of a body whose request is answered is no new request', async (t) => {
  const app = await serving(t);
  const peer = await app.connect();
  peer.write('POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\none');
  await peer.reads('not read');
  peer.write('two');
  await app.get();
  app.drain({ linger_ms: 0, drain_ms: LONG });
  assert.deepEqual(await drained(app), NOTHING);
  await peer.ends();
});

test('requests that wait behind each other are all answered', async (t) => {
  const app = await serving(t);
  const peer = await app.connect();
  peer.write('GET /hold HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(3));
  await app.prints(/(?:request \/hold\n){3}/);
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  await app.message('lingering');
  app.process.kill('SIGUSR2');
  await peer.ends();
  const told = ['keep-alive', 'held', 'keep-alive', 'held', 'close', 'held'];
  assert.deepEqual(peer.text.match(/held|(?<=Connection: )\S+/g), told);
  assert.deepEqual(await drained(app), NOTHING);
});

for (const path of ['/keep-set', '/keep-object', '/keep-array']) {
  test(`what the application says about its connections is overruled: ${path}`, async (t) => {
    const app = await serving(t);
    const peer = await idle(app);
    app.drain({ linger_ms: LONG, drain_ms: LONG });
    await app.message('lingering');
    await peer.write(GET.replace('/', path)).ends();
    assert.deepEqual(peer.text.match(/^connection: \S*/gim), ['Connection: close']);
    assert.match(peer.text, /kept/);
    if (path !== '/keep-set') assert.match(peer.text, /X-Other: a/);
    assert.deepEqual(await drained(app), NOTHING);
  });
}

test('event streams end at once, whatever the application writes then', async (t) => {
  const app = await serving(t);
  const peer = await holding(app, '/events');
  await peer.reads('first');
  app.drain({ linger_ms: 0, drain_ms: LONG });
  await peer.reads('\r\n0\r\n\r\n');
  await peer.ends();
  assert.deepEqual(await drained(app), NOTHING);
  await app.prints(/closed \/events/);
  assert.equal(app.stderr, '');
});

test('an event stream that begins late ends at once too', async (t) => {
  const app = await serving(t);
  await idle(app);
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  await app.message('lingering');
  const peer = await holding(app, '/held-events');
  app.drain({ linger_ms: 0, drain_ms: LONG });
  await app.message('draining');
  app.process.kill('SIGUSR2');
  await peer.reads('first');
  await peer.ends();
  assert.deepEqual(await drained(app), NOTHING);
});

test('an event stream that nobody reads holds nothing up', async (t) => {
  const endless = `${HTTP}
    ROUTES['/endless'] = (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: ' + 'a'.repeat(64 * 1024 * 1024) + '\\n\\n');
      setInterval(() => response.write('data: more\\n\\n'), 1);
    };`;
  const app = await serving(t, endless);
  const peer = await app.connect();
  peer.socket.pause();
  peer.write('GET /endless HTTP/1.1\r\nHost: a\r\n\r\n');
  await app.prints(/request \/endless/);
  app.drain({ linger_ms: 0, drain_ms: LONG });
  assert.deepEqual(await drained(app), NOTHING);
  assert.equal(app.stderr, '');
});

test('a request from before that does not end is cut and counted', async (t) => {
  const app = await serving(t);
  const peers = [await holding(app), await holding(app, '/stream')];
  app.drain({ linger_ms: 0, drain_ms: 100 });
  for (const peer of peers) await peer.ends();
  assert.equal(peers[0].text, '');
  assert.doesNotMatch(peers[1].text, /\r\n0\r\n/);
  assert.deepEqual(await drained(app), { cut: 2, websockets: 0 });
});

test('a request that came late and a head that never ends are cut and counted', async (t) => {
  const app = await serving(t);
  const stays = await idle(app);
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  await app.message('lingering');
  const incomplete = (await app.connect()).write('GET');
  const late = await holding(app);
  app.drain({ linger_ms: 0, drain_ms: 200 });
  for (const peer of [late, incomplete, stays]) await peer.ends();
  assert.deepEqual(await drained(app), { cut: 2, websockets: 0 });
});

/** From when it accepts nothing more until it is drained, in milliseconds. */
async function closedFor(app) {
  await app.message('draining');
  const since = performance.now();
  await app.message('drained');
  return performance.now() - since;
}

test('what came late gets what the old ones have left of the drain, and not all of it again', async (t) => {
  const app = await serving(t);
  await holding(app);
  app.drain({ linger_ms: 0, drain_ms: 4000 });
  await app.message('lingering');
  // Like a long poll that comes back at once, for as long as it accepts.
  await holding(app, '/stream');
  const closed = await closedFor(app);
  assert.ok(closed < 3500, `nobody accepted for ${closed} ms`);
  assert.deepEqual(await drained(app), { cut: 2, websockets: 0 });
});

test('what came late is waited for as long as was lingered, though the drain is over', async (t) => {
  const app = await serving(t);
  const old = await holding(app, '/stream');
  app.drain({ linger_ms: 3000, drain_ms: 3000 });
  await app.message('lingering');
  const late = await holding(app);
  await old.ends();
  app.process.kill('SIGUSR2');
  await late.ends();
  assert.match(late.text, /Connection: close[^]*held$/);
  assert.deepEqual(await drained(app), { cut: 1, websockets: 0 });
});

test('a second order shortens the first', async (t) => {
  const app = await serving(t);
  await idle(app);
  await holding(app);
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  await app.message('lingering');
  app.drain({ linger_ms: 0, drain_ms: 50 });
  assert.deepEqual(await drained(app), { cut: 1, websockets: 0 });
  app.drain({ linger_ms: 0, drain_ms: 0 });
  assert.equal((await app.terminate()).signal, 'SIGTERM');
  assert.deepEqual(app.messages.slice(-3), ['lingering', 'draining', 'drained']);
});

test('a second order lengthens nothing', async (t) => {
  const app = await serving(t);
  await holding(app);
  app.drain({ linger_ms: 0, drain_ms: 200 });
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  assert.deepEqual(await drained(app), { cut: 1, websockets: 0 });
});

test('what has arrived when it stops accepting is answered', async (t) => {
  const blocking = `${HTTP}
    const fs = require('node:fs');
    ROUTES['/block'] = (_, response) => {
      while (!fs.existsSync(__dirname + '/go')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      response.end('went on');
    };`;
  const app = await serving(t, blocking);
  const [peer, blocked] = [await idle(app), await holding(app, '/block')];
  app.drain({ linger_ms: 0, drain_ms: LONG });
  await new Promise((resolve) => peer.socket.write(GET, resolve));
  fs.writeFileSync(path.join(app.folder, 'go'), '');
  await blocked.ends();
  await peer.ends();
  assert.match(peer.text, /Connection: close[^]*hello$/);
  assert.deepEqual(await drained(app), NOTHING);
});

test('a connection that was just accepted may take its time to speak', async (t) => {
  // No time passes for this application.
  const app = await serving(t, `${HTTP} performance.now = () => 1000;`);
  const peer = await app.connect();
  await app.get();
  app.drain({ linger_ms: 0, drain_ms: LONG });
  await app.message('draining');
  // Some turns of its event loop later.
  for (let count = 0; count < 3; count += 1) await app.ask();
  await peer.write(GET).ends();
  assert.match(peer.text, /Connection: close[^]*hello$/);
  assert.deepEqual(await drained(app), NOTHING);
});

test('a server that only hands its connections on is seen through', async (t) => {
  const app = new Agent(
    t,
    `${HTTP.replace('.listen(8888)', '')}
    require('node:net').createServer((socket) => server.emit('connection', socket)).listen(8888);`,
  );
  await app.serve();
  const [told, silent] = [await idle(app), await app.connect()];
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  await app.message('lingering');
  for (const peer of [told, silent]) {
    await peer.write(GET).ends();
    assert.match(peer.text, /Connection: close[^]*hello$/);
    // Some turns of its event loop, in which it refuses to be asked.
    for (let count = 0; count < 3; count += 1) await assert.rejects(app.ask());
  }
  assert.deepEqual(await drained(app), NOTHING);
});

test('an application that is not asked anything is drained at once', async (t) => {
  const app = await serving(t);
  app.drain({ linger_ms: LONG, drain_ms: LONG });
  assert.deepEqual(await drained(app), NOTHING);
});

test('after the drain it lives until it is told to end, and its sockets wait for the next', async (t) => {
  const held = new Held(t);
  const app = await new Agent(t, HTTP, { held }).serve();
  app.drain();
  await drained(app);
  const asked = app.get();
  const next = await new Agent(t, HTTP, { held }).serve();
  assert.equal((await asked).text, 'hello');
  await next.prints(/request/);
  assert.equal(app.process.exitCode, null);
  assert.doesNotMatch(app.stdout, /request/);
  assert.deepEqual(await app.terminate(), { code: null, signal: 'SIGTERM' });
});

test('a handler of the application closes its server as if nothing had been', async (t) => {
  const app = await serving(t, HTTP_WITH_TERM);
  await idle(app);
  app.drain({ linger_ms: 0 });
  await drained(app);
  assert.deepEqual(await app.terminate(), { code: 0, signal: null });
  const lines = app.stdout.split('\n').filter((line) => /^(?:term|cb|exit)/.test(line));
  assert.deepEqual(lines, [
    'term true {"address":"127.0.0.1","family":"IPv4","port":8888}',
    'cb undefined false null',
    'exit 0 closed 1',
  ]);
});

test('a process whose server was let go of ends by itself as ever', async (t) => {
  const app = await serving(t, `${HTTP} server.unref(); const timer = setInterval(() => {}, 1000);
    process.on('SIGTERM', () => clearInterval(timer));`);
  app.drain({ linger_ms: 0 });
  await drained(app);
  assert.deepEqual(await app.terminate(), { code: 0, signal: null });
});

test('a process whose last server closes ends by itself', async (t) => {
  const app = await serving(t, `${HTTP} process.on('SIGTERM', () => server.close());`);
  assert.deepEqual(await app.terminate(), { code: 0, signal: null });
});
