import { createServer } from 'node:http';
import { once } from 'node:events';
import assert from 'node:assert/strict';

const server = createServer((_, response) => response.end('module'));
server.listen(8888);
await once(server, 'listening');
const answer = await fetch(`http://127.0.0.1:${process.env.HELD_PORT}/`, {
  headers: { connection: 'close' },
});
assert.equal(await answer.text(), 'module');
server.close();
console.log('ok');
