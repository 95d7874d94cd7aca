'use strict';
const { assert, net, once, greeting, greeter, close, done } = require('./lib.cjs');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

async function listened(...args) {
  const server = net.createServer();
  server.listen(...args);
  await once(server, 'listening');
  const address = server.address();
  await close(server);
  return address;
}

async function main() {
  assert.notEqual((await listened(0)).port, 8888);
  assert.notEqual((await listened()).port, 8888);
  assert.notEqual((await listened({ port: 0, host: '127.0.0.1' })).port, 8888);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'lg-'));
  const socket = path.join(folder, '8888');
  assert.equal(await listened(socket), socket);
  assert.equal(await listened({ path: socket }), socket);
  fs.rmSync(folder, { recursive: true });

  // A descriptor or a handle of the application's own.
  assert.equal((await listened({ fd: 13 })).family, 'IPv4');
  const giver = greeter('given');
  await new Promise((resolve) => giver.listen(8888, resolve));
  assert.equal(await greeting(), 'given');
  const taker = net.createServer();
  assert.equal(taker.listen(giver), taker);
  await close(giver);
}

main().then(done);
