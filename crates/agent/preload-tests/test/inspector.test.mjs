// The inspector opens once the old process is gone.

import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import test from 'node:test';
import { Agent } from './agent.mjs';

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

const APP = `
  const inspector = require('node:inspector');
  console.log('before', inspector.url());
  require('node:http').createServer((_, response) => response.end('ok')).listen(8888);
  console.log('after', inspector.url());
`;

test('the inspector opens right after go', async (t) => {
  const inspect = { port: await freePort(), host: '127.0.0.1' };
  const app = new Agent(t, APP, { inspect });
  await app.message('gate');
  await app.prints(/before undefined/);
  app.go();
  await app.prints(new RegExp(`after ws://127.0.0.1:${inspect.port}/`));
  await app.message('listening');
  assert.equal((await app.get()).text, 'ok');
});

test('an inspector that cannot open is a warning', async (t) => {
  const taken = net.createServer().listen(0, '127.0.0.1');
  t.after(() => taken.close());
  await once(taken, 'listening');
  const { port } = taken.address();
  const app = await new Agent(t, APP, { inspect: { port, host: '127.0.0.1' } }).serve();
  await app.until('a warning', () => app.stderr.includes(`127.0.0.1:${port}`));
  assert.equal((await app.get()).text, 'ok');
});
