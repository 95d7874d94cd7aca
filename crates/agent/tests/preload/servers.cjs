'use strict';
const { assert, HELD, once, close, done } = require('./lib.cjs');
const http = require('node:http');
const http2 = require('node:http2');
const tls = require('node:tls');

async function main() {
  const plain = http.createServer((_, response) => response.end('http'));
  plain.listen(8888, '127.0.0.1');
  await once(plain, 'listening');
  const answer = await fetch(`http://127.0.0.1:${HELD}/`, { headers: { connection: 'close' } });
  assert.equal(await answer.text(), 'http');
  await close(plain);

  const second = http2.createServer();
  second.on('stream', (stream) => stream.end('http2'));
  await new Promise((resolve) => second.listen({ port: 8888 }, resolve));
  const session = http2.connect(`http://127.0.0.1:${HELD}`);
  const request = session.request({ ':path': '/' });
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += chunk;
  assert.equal(text, 'http2');
  session.close();
  await close(second);

  const secret = tls.createServer({});
  await new Promise((resolve) => secret.listen(8888, resolve));
  assert.equal(secret.address().port, 8888);
  await close(secret);
}

main().then(done);
