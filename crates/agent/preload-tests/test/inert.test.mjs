// Workers and children see nothing of the preload; clusters are refused by name.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Agent } from './agent.mjs';

const TRACES = `
  const { execFileSync, fork } = require('node:child_process');
  const { once } = require('node:events');
  const { Worker, isMainThread, parentPort } = require('node:worker_threads');

  const OURS = /^(?:LOCKGATE_SOCKETS|LISTEN_.*|NODE_OPTIONS)$/;
  const traces = (env) => Object.entries(env).filter(([name]) => OURS.test(name)).map((it) => it.join('='));
  const found = () => ({
    traces: traces(process.env),
    args: process.execArgv,
    native: ['net', 'http', 'fs'].every((name) =>
      Object.values(require(name).Server?.prototype ?? require(name)).every((it) =>
        typeof it !== 'function' || !String(it).includes('pass('))),
    watched: String(require('fs').readFileSync).includes('watching'),
  });

  if (!isMainThread) parentPort.postMessage(found());
  else if (process.argv[2] === 'child') process.send(found(), () => process.disconnect());
  else (async () => {
    const [worker] = await once(new Worker(__filename), 'message');
    const [sharing] = await once(new Worker(__filename, { env: require('node:worker_threads').SHARE_ENV }), 'message');
    const [child] = await once(fork(__filename, ['child']), 'message');
    const shown = JSON.parse(execFileSync(process.execPath, ['-p', 'JSON.stringify(process.env)'], { encoding: 'utf8' }));
    const open = execFileSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' });
    console.log(JSON.stringify({
      here: traces(process.env), args: process.execArgv, mark: process.env.LOCKGATE_START,
      worker, sharing, child, shown: traces(shown), open,
    }));
    require('node:net').createServer().listen(8888);
  })();
`;

for (const nodeOptions of [undefined, '--no-warnings']) {
  test(`Workers and children see no trace, with NODE_OPTIONS=${nodeOptions}`, async (t) => {
    const app = new Agent(t, TRACES, { nodeOptions });
    const gate = await app.message('gate');
    assert.deepEqual(
      gate.seen.map(({ kind, what }) => `${kind} ${what}`),
      ['start worker:main.cjs', 'start node', 'start ls'],
    );
    const [text] = await app.prints(/\{.*\}/);
    const { here, args, mark, worker, sharing, child, shown, open } = JSON.parse(text);
    const left = nodeOptions ? [`NODE_OPTIONS=${nodeOptions}`] : [];
    const inert = { traces: left, args: [], native: true, watched: false };
    assert.deepEqual({ here, args, shown, mark }, { here: left, args: [], shown: left, mark: 'mark' });
    assert.deepEqual({ worker, sharing, child }, { worker: inert, sharing: inert, child: inert });
    // Descriptors stay with the application.
    assert.doesNotMatch(open, / (?:[3-9]|\d{2,}) -> socket:/);
  });
}

test('a server in a Worker is not held, which is why starting one is told', async (t) => {
  const app = new Agent(
    t,
    `const { Worker } = require('node:worker_threads');
    process.once('SIGUSR2', () => require('node:net').createServer().listen(8888));
    new Worker("require('node:net').createServer().listen(0, '127.0.0.1', () => console.log('worker listens'))", { eval: true });
    setInterval(() => {}, 1000);`,
  );
  await app.prints(/worker listens/);
  assert.deepEqual(app.messages, []);
  app.process.kill('SIGUSR2');
  assert.deepEqual((await app.message('gate')).seen, [{ kind: 'start', what: 'worker:eval' }]);
});

const CLUSTER = `
  const http = require('node:http');
  if (cluster.isPrimary) {
    cluster.setupPrimary({ args: [] });
    try {
      cluster.fork();
      cluster.fork();
    } catch (error) {
      console.log(error.code, error.message);
    }
  } else {
    http.createServer((_, response) => response.end('from a worker')).listen(8888);
  }
`;

for (const strategy of ['auto', 'gated']) {
  for (const module of [false, true]) {
    test(`cluster is refused by name: ${strategy}, ${module ? 'ES module' : 'CommonJS'}`, async (t) => {
      const load = module
        ? "import cluster from 'node:cluster'; import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);"
        : "const cluster = require('node:cluster');";
      const app = new Agent(t, load + CLUSTER, { strategy, module });
      assert.deepEqual(await app.exited, { code: 0, signal: null });
      assert.match(app.stdout, new RegExp(`ERR_LOCKGATE_CLUSTER cluster.fork: .*strategy = "${strategy}"`));
      assert.match(app.stdout, /one process per gateway .*--gateways.*strategy = "cold"/);
    });
  }
}

test('with strategy cold the workers of a cluster share the socket', async (t) => {
  const app = new Agent(t, `const cluster = require('node:cluster'); ${CLUSTER}`, { strategy: 'cold' });
  assert.deepEqual((await app.message('gate')).at, 'port 8888');
  app.go();
  assert.equal((await app.message('listening')).speaks, 'raw');
  assert.equal((await app.get()).text, 'from a worker');
  app.drain();
  await app.message('drained');
  assert.deepEqual(await app.terminate(), { code: null, signal: 'SIGTERM' });
});
