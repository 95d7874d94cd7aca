'use strict';
const { assert, done } = require('./lib.cjs');
const { execFileSync, fork } = require('node:child_process');
const { once } = require('node:events');
const { Worker, isMainThread, parentPort } = require('node:worker_threads');

const OURS = ['LOCKGATE_SOCKETS', 'LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES'];

/** What is left of us in an environment. */
const traces = (env) =>
  [...OURS.filter((name) => name in env), env.NODE_OPTIONS ?? ''].filter((it) => it !== '--no-warnings' && it !== '');

async function main() {
  assert.deepEqual(traces(process.env), []);
  assert.equal(process.env.LOCKGATE_START, 'mark', 'the mark is for the sweep');

  const worker = new Worker(__filename);
  const [said] = await once(worker, 'message');
  assert.deepEqual(said, { traces: [], native: true });

  const child = fork(__filename, ['child']);
  const [answer] = await once(child, 'message');
  assert.deepEqual(answer, { traces: [], native: true });

  const shown = execFileSync(process.execPath, ['-p', 'JSON.stringify(process.env)'], {
    encoding: 'utf8',
  });
  assert.deepEqual(traces(JSON.parse(shown)), []);

  // Descriptors stay with this process.
  const open = execFileSync('ls', ['/proc/self/fd'], { encoding: 'utf8' }).split('\n');
  assert.equal(open.includes('10'), false, open.join(' '));
}

function report() {
  const listen = require('node:net').Server.prototype.listen;
  return { traces: traces(process.env), native: !listen.toString().includes('asked') };
}

if (!isMainThread) parentPort.postMessage(report());
else if (process.argv[2] === 'child') process.send(report(), () => process.disconnect());
else main().then(done);
