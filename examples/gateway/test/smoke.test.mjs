import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, test } from 'node:test';
import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import { WebSocket } from 'ws';
import { readSyncMessage, writeSyncStep1, writeUpdate } from 'y-protocols/sync';
import * as Y from 'yjs';
import { ADDRESS, startGateway } from './gateway.mjs';

const probe = net.connect(8888, '127.0.0.1');
const taken = await once(probe, 'connect').then(() => true, () => false);
probe.destroy();
const skip = taken && 'something else listens on 127.0.0.1:8888';

let gateway;
before(async () => {
  if (skip) return;
  gateway = await startGateway({
    buildInfo: 'Environment: dev-001\nBuild: 0123456789ab\nBuild: ignored\n',
    env: { GATEWAY_ID: 'gateway-7', GANYMEDE_FQDN: 'ganymede.example.invalid' },
  });
});
after(() => gateway?.stop());

const open = async (path) => {
  const socket = new WebSocket(`ws://${ADDRESS}${path}`);
  await once(socket, 'open');
  return socket;
};

/** A document that is kept the same as the room's, by the protocol of y-websocket. */
async function joinRoom(name) {
  const document = new Y.Doc();
  const socket = new WebSocket(`ws://${ADDRESS}/collab/${name}`);
  const sync = (write) => {
    const encoder = encoding.createEncoder();
    encoding.writeVarUint(encoder, 0);
    write(encoder);
    if (encoding.length(encoder) > 1) socket.send(encoding.toUint8Array(encoder));
  };
  document.on('update', (update, origin) => {
    if (origin !== socket) sync((encoder) => writeUpdate(encoder, update));
  });
  socket.on('message', (data) => {
    const decoder = decoding.createDecoder(data);
    if (decoding.readVarUint(decoder) !== 0) return;
    sync((encoder) => readSyncMessage(decoder, encoder, document, socket));
  });
  await once(socket, 'open');
  sync((encoder) => writeSyncStep1(encoder, document));
  return { document, text: document.getText('text'), socket };
}

async function until(condition) {
  const end = Date.now() + 5_000;
  while (!condition()) {
    assert.ok(Date.now() < end, `still waiting for ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('says who it is', { skip }, async () => {
  const answer = await gateway.get('/');
  assert.equal(answer.status, 200);
  const { version, ...rest } = await answer.json();
  assert.match(version, /^\d+\.\d+\.\d+/);
  assert.deepEqual(rest, { build: '0123456789ab', pid: gateway.child.pid, gateway: 'gateway-7' });
});

test('says that it is well', { skip }, async () => {
  assert.deepEqual(await (await gateway.get('/health')).json(), { status: 'ok' });
});

test('answers slowly when told, within bounds', { skip }, async () => {
  const start = performance.now();
  assert.equal((await (await gateway.get('/slow?ms=120')).json()).slept_ms, 120);
  assert.ok(performance.now() - start >= 115);
  for (const ms of ['60001', '-1', 'soon']) {
    assert.equal((await gateway.get(`/slow?ms=${ms}`)).status, 400, ms);
  }
});

test('has no route that shows its environment', { skip }, async () => {
  for (const path of ['/env?name=PATH', '/env', '/BUILD_INFO.txt']) {
    assert.equal((await gateway.get(path)).status, 404, path);
  }
});

test('keeps integrations behind a token', { skip }, async () => {
  const cases = [['GET', '/containers'], ['POST', '/rooms/a/export'], ['POST', '/rooms/a/import?file=0123456789']];
  for (const [method, path] of cases) {
    assert.equal((await gateway.get(path, { method })).status, 401, path);
  }
});

test('counts its answers', { skip }, async () => {
  await gateway.get('/health');
  assert.match(await (await gateway.get('/metrics')).text(), /http\.server\.request\.duration/);
});

test('echoes on /ws', { skip }, async () => {
  const socket = await open('/ws');
  socket.send('hello');
  const [data, isBinary] = await once(socket, 'message');
  assert.equal(data.toString(), 'hello');
  assert.equal(isBinary, false);
  socket.close();
});

test('refuses a websocket elsewhere', { skip }, async () => {
  const socket = new WebSocket(`ws://${ADDRESS}/elsewhere`);
  const [error] = await once(socket, 'error');
  assert.match(error.message, /404/);
});

test('keeps a document the same for everybody and shows it', { skip }, async () => {
  const events = await gateway.get('/events');
  const ada = await joinRoom('notes');
  const bob = await joinRoom('notes');
  ada.text.insert(0, 'from ada. ');
  await until(() => bob.text.toString() === 'from ada. ');
  bob.text.insert(bob.text.length, 'from bob.');
  await until(() => ada.text.toString() === 'from ada. from bob.');

  const late = await joinRoom('notes');
  await until(() => late.text.toString() === 'from ada. from bob.');

  const query = '{ gateway { build } room(name: "notes") { members text } }';
  const answer = await gateway.get('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  });
  assert.deepEqual((await answer.json()).data, {
    gateway: { build: '0123456789ab' },
    room: { members: 3, text: 'from ada. from bob.' },
  });

  let told = '';
  for await (const chunk of events.body.pipeThrough(new TextDecoderStream())) {
    told += chunk;
    if (told.includes('"kind":"joined","room":"notes","members":3')) break;
  }
  for (const { socket } of [ada, bob, late]) socket.close();
});

test('closes a peer that speaks another protocol', { skip }, async () => {
  const socket = await open('/collab/odd');
  socket.send(new Uint8Array([0, 9, 255]));
  const [code] = await once(socket, 'close');
  assert.equal(code, 1007);
});

// From here on the tests end the gateway.
test('leaves on TERM: sends sockets away, finishes what it serves, exits with 0', { skip }, async () => {
  const idle = await open('/ws');
  const member = await joinRoom('notes');
  const events = await gateway.get('/events');
  const slow = gateway.get('/slow?ms=700');
  await new Promise((resolve) => setTimeout(resolve, 100)); // The request is under way.
  const closed = [once(idle, 'close'), once(member.socket, 'close')];
  const start = performance.now();
  gateway.child.kill('SIGTERM');

  for (const [code] of await Promise.all(closed)) assert.equal(code, 1012);
  await assert.rejects(gateway.get('/health'), 'it still accepts');
  assert.equal((await slow).status, 200);
  await events.text();
  assert.deepEqual(await gateway.ended, { code: 0, signal: null });
  assert.ok(performance.now() - start < 2_000);
  assert.deepEqual(gateway.lines.map((line) => line.msg), ['gateway listens on 127.0.0.1:8888', 'gateway stops']);
});

test('cuts what takes longer than the drain', { skip }, async () => {
  await gateway.stop();
  gateway = await startGateway();
  const cut = assert.rejects(gateway.get('/slow?ms=60000'));
  await new Promise((resolve) => setTimeout(resolve, 100)); // The request is under way.
  const start = performance.now();
  gateway.child.kill('SIGTERM');
  assert.deepEqual(await gateway.ended, { code: 0, signal: null });
  const took = performance.now() - start;
  assert.ok(took > 4_900 && took < 6_500, `${took} ms`);
  await cut;
});
