// Every form of `listen` takes the handed-over socket, and nothing else changes.

import assert from 'node:assert/strict';
import net from 'node:net';
import test from 'node:test';
import { Agent, Held, after } from './agent.mjs';

const GREETER = `
  const greeter = (net, text) => net.createServer((socket) => socket.end(text));
  const told = (server) => console.log('address', JSON.stringify(server.address()));
`;

const FORMS = {
  port: 'server.listen(8888, callback)',
  'port and host': "server.listen(8888, '127.0.0.1', callback)",
  'port, host and backlog': "server.listen(8888, '127.0.0.1', 100, callback)",
  'port and backlog': 'server.listen(8888, 100, callback)',
  'port and undefined': 'server.listen(8888, undefined, callback)',
  'string port': "server.listen('8888', callback)",
  'string port and host': "server.listen('8888', 'localhost', callback)",
  options: 'server.listen({ port: 8888 }, callback)',
  'options with host':
    "server.listen({ port: 8888, host: '0.0.0.0', backlog: 10, exclusive: true }, callback)",
  'options with string port': "server.listen({ port: '8888' }, callback)",
  'held port': 'server.listen(Number(process.env.HELD_PORT), callback)',
  'event only': "server.on('listening', callback).listen(8888)",
};

for (const [name, form] of Object.entries(FORMS)) {
  for (const module of [false, true]) {
    test(`listen takes the socket: ${name}, ${module ? 'ES module' : 'CommonJS'}`, async (t) => {
      const net = module ? "import net from 'node:net';" : "const net = require('node:net');";
      const app = new Agent(
        t,
        `${net} ${GREETER}
        const server = greeter(net, ${JSON.stringify(name)});
        const callback = () => told(server);
        const answer = ${form};
        if (answer !== server) throw new Error('listen answers the server');`,
        { module },
      );
      await app.serve();
      const [, address] = await app.prints(/address (.*)/);
      const port = name === 'held port' ? app.port : 8888;
      assert.deepEqual(JSON.parse(address), { address: '127.0.0.1', family: 'IPv4', port });
      const peer = await app.connect();
      await peer.ends();
      assert.equal(peer.text, name);
    });
  }
}

const FRAMEWORKS = {
  http: ["const http = require('node:http'); http.createServer((_, r) => r.end('http')).listen(8888);", 'http'],
  express: [
    "const app = require('express')(); app.get('/', (_, r) => r.send('express')); app.listen(8888);",
    'express',
  ],
  fastify: [
    "const app = require('fastify')(); app.get('/', async () => 'fastify'); app.listen({ port: 8888 });",
    'fastify',
  ],
  ws: [
    `const http = require('node:http'); const { WebSocketServer } = require('ws');
     const server = http.createServer((_, r) => r.end('ws'));
     new WebSocketServer({ server }); server.listen(8888);`,
    'ws',
  ],
  'ES module with top-level await': [
    `import { createServer } from 'node:http'; import { once } from 'node:events';
     const server = createServer((_, r) => r.end('module'));
     server.listen(8888); await once(server, 'listening'); console.log('awaited');`,
    'module',
    true,
  ],
};

for (const [name, [code, text, module]] of Object.entries(FRAMEWORKS)) {
  test(`listen takes the socket: ${name}`, async (t) => {
    const app = new Agent(t, code, { module });
    await app.serve();
    assert.equal((await app.get()).text, text);
  });
}

test('http2 and tls servers take the socket', async (t) => {
  const app = new Agent(
    t,
    `const http2 = require('node:http2'); const tls = require('node:tls');
    const server = http2.createServer((_, response) => response.end('http2'));
    server.listen({ port: 8888 }, () => {
      const client = http2.connect('http://127.0.0.1:' + process.env.HELD_PORT);
      client.request({ ':path': '/' }).setEncoding('utf8').on('data', (text) => {
        console.log(text);
        client.close();
        server.close(() => {
          const secret = tls.createServer({});
          secret.listen(8888, () => console.log('tls', secret.address().port));
        });
      });
    });`,
  );
  await app.serve();
  await app.prints(/http2\ntls 8888/);
});

test('other ports, paths, descriptors and handles are untouched', async (t) => {
  const app = new Agent(
    t,
    `const net = require('node:net'); const path = require('node:path'); ${GREETER}
    const listened = (...args) => new Promise((resolve) => {
      const server = net.createServer();
      server.listen(...args, () => { const address = server.address(); server.close(() => resolve(address)); });
    });
    (async () => {
      const socket = path.join(__dirname, '8888');
      console.log(JSON.stringify({
        any: (await listened(0)).port,
        none: (await listened()).port,
        host: (await listened({ port: 0, host: '127.0.0.1' })).port,
        path: await listened(socket) === socket,
        options: await listened({ path: socket }) === socket,
        fd: (await listened({ fd: 6 })).port,
      }));
      const giver = greeter(net, 'given');
      giver.listen(8888, () => {
        const taker = net.createServer();
        console.log('taker', taker.listen(giver) === taker);
      });
    })();`,
  );
  await app.serve();
  const [, text] = await app.prints(/(\{.*\})\ntaker true/);
  const { any, none, host, fd, ...rest } = JSON.parse(text);
  for (const port of [any, none, host]) assert.notEqual(port, 8888);
  assert.equal(fd, app.port);
  assert.deepEqual(rest, { path: true, options: true });
});

test('a socket can be taken four times, also at once, and a fifth names the limit', async (t) => {
  const app = new Agent(
    t,
    `const net = require('node:net'); const { once } = require('node:events'); ${GREETER}
    (async () => {
      const two = [greeter(net, 'one of two'), greeter(net, 'one of two')];
      for (const server of two) { server.listen(8888); await once(server, 'listening'); }
      const asked = once(process, 'SIGUSR2');
      console.log('two');
      await asked;
      for (const server of two) { server.close(); await once(server, 'close'); }
      const again = greeter(net, 'again');
      for (const round of [1, 2]) {
        again.listen(8888);
        await once(again, 'listening');
        again.close();
        await once(again, 'close');
      }
      again.listen(8888);
      const [error] = await once(again, 'error');
      console.log(error.code, error.message);
    })();`,
  );
  await app.serve();
  await app.prints(/two/);
  const peers = await Promise.all([app.connect(), app.connect(), app.connect()]);
  for (const peer of peers) {
    await peer.ends();
    assert.equal(peer.text, 'one of two');
  }
  app.process.kill('SIGUSR2');
  await app.prints(/ERR_LOCKGATE_LISTEN_LIMIT listen: port 8888 was listened on more than 4 times/);
});

/** The second socket of this application leads to the same queue. */
const TWO_PORTS = (held) => [
  { port: 8888, held: held.port, address: '127.0.0.1', fds: [3, 4] },
  { port: 9999, held: 0, address: '127.0.0.1', fds: [5, 6] },
];

const QUEUES = {
  'the first server': 'server().listen(8888, told)',
  'a server with a queue of its own': "server().listen(8888, '127.0.0.1', 10, told)",
  'a server with a queue in its options': 'server().listen({ port: 8888, backlog: 10 }, told)',
  'closed and listened again': 'const first = server().listen(8888, () => first.close(() => first.listen(8888, told)))',
  'a second server': 'server().listen(8888, () => server().listen(8888, told))',
  'another socket': 'server().listen(8888, () => server().listen(9999, told))',
};

for (const [name, code] of Object.entries(QUEUES)) {
  test(`as many connections wait as the supervisor lets: ${name}`, async (t) => {
    const held = new Held(t);
    const app = await new Agent(
      t,
      `const server = () => require('node:net').createServer((socket) => socket.on('error', () => {}));
      const told = () => console.log('told');
      ${code};`,
      { held, sockets: TWO_PORTS(held) },
    ).serve();
    await app.prints(/told/);
    await app.freeze();
    // Node's own queue holds 511.
    let connected = 0;
    const clients = Array.from({ length: 600 }, () =>
      net.connect(app.port, '127.0.0.1', () => (connected += 1)).on('error', () => {}),
    );
    after(t, () => clients.forEach((client) => client.destroy()));
    await app.until('a place in the queue for all', () => connected === clients.length);
  });
}

test('reusePort is refused by name', async (t) => {
  const app = new Agent(
    t,
    `require('node:net').createServer()
      .on('error', (error) => console.log(error.code, error.message))
      .listen({ port: 8888, reusePort: true });`,
  );
  await app.message('gate');
  app.go();
  await app.prints(/ERR_LOCKGATE_REUSE_PORT listen: reusePort is not possible on port 8888/);
});

test('an abort signal closes the server, and the process ends by itself', async (t) => {
  const app = new Agent(
    t,
    `const abort = new AbortController();
    const server = require('node:net').createServer();
    server.on('close', () => console.log('closed'));
    server.listen({ port: 8888, signal: abort.signal }, () => abort.abort());`,
  );
  await app.serve();
  assert.deepEqual(await app.exited, { code: 0, signal: null });
  assert.match(app.stdout, /closed/);
});

test('errors keep their form', async (t) => {
  const app = new Agent(
    t,
    `const net = require('node:net'); const assert = require('node:assert/strict');
    const server = net.createServer();
    server.listen(8888, () => {
      assert.throws(() => server.listen(8888), { code: 'ERR_SERVER_ALREADY_LISTEN' });
      assert.throws(() => net.createServer().listen(99999), { code: 'ERR_SOCKET_BAD_PORT' });
      assert.throws(() => net.createServer().listen({ port: 'x' }), { code: 'ERR_SOCKET_BAD_PORT' });
      assert.throws(() => net.createServer().listen({}), { code: 'ERR_INVALID_ARG_VALUE' });
      server.close(() => console.log('ok'));
    });`,
  );
  await app.serve();
  assert.deepEqual(await app.exited, { code: 0, signal: null });
  assert.equal(app.stdout, 'ok\n', app.stderr);
});

test('without a channel to the supervisor the socket is taken and nothing waits', async (t) => {
  const app = new Agent(t, "require('node:http').createServer((_, r) => r.end('old')).listen(8888);", {
    gate: undefined,
  });
  assert.equal((await app.get()).text, 'old');
  assert.deepEqual(app.messages, []);
});

test('servers of an application\'s own kind may emit what they like', async (t) => {
  const app = await new Agent(
    t,
    `const net = require('node:net');
    const server = net.createServer().listen(8888, () => {
      for (const event of ['connection', 'secureConnection', 'upgrade', 'connect', 'session', 'stream', 'listening']) {
        server.emit(event);
        server.emit(event, {}, 'text', null);
      }
      server.emit(Symbol('own'), 1);
      console.log('still here');
    });`,
  ).serve();
  await app.prints(/still here/);
  app.drain();
  assert.deepEqual(await app.message('drained'), { type: 'drained', cut: 0, websockets: 0 });
});
