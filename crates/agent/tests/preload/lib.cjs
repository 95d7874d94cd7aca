// What the scripts share. Every script ends with `done()`, which prints `ok`.
'use strict';

const assert = require('node:assert/strict');
const net = require('node:net');
const { once } = require('node:events');

const HELD = Number(process.env.HELD_PORT);

/** Connects to the held socket and says what the server writes at once. */
async function greeting() {
  const socket = net.connect(HELD, '127.0.0.1');
  let text = '';
  for await (const chunk of socket.setEncoding('utf8')) text += chunk;
  return text;
}

const greeter = (text) => net.createServer((socket) => socket.end(text));

async function close(server) {
  server.close();
  await once(server, 'close');
}

function done() {
  console.log('ok');
}

// A script that hangs fails.
setTimeout(() => {
  console.error('the script hangs');
  process.exit(3);
}, 20_000).unref();

module.exports = { assert, net, once, HELD, greeting, greeter, close, done };
