// The application of the load journey. It answers with its version and its process, so
// that every answer tells who gave it; what was sent to it is proven by a digest.
//
//   GET /              who answers
//   GET /slow?ms=N     the whole answer after N milliseconds
//   GET /stream?ms=N   the head at once, then a piece every few milliseconds, N in all
//   POST /digest       length and SHA-256 of the body
//   WebSocket /ws      echo
//
// It knows nothing of reloads: it closes no WebSocket when it ends, and whether it has
// a handler for TERM is a constant, as different builds have it.
'use strict';

const { createHash } = require('node:crypto');
const { createServer } = require('node:http');

const VERSION = "1";
const HANDLES_TERM = false;

const PIECES = 10;
const WEBSOCKET_KEY = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const TEXT = 1;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://gateway');
  const milliseconds = Number(searchParams.get('ms') ?? 0);
  switch (`${request.method} ${pathname}`) {
    case 'GET /':
      return answer(response, {});
    case 'GET /slow':
      return void setTimeout(() => answer(response, { ms: milliseconds }), milliseconds);
    case 'GET /stream':
      return stream(response, milliseconds);
    case 'POST /digest':
      return digest(request, response);
    default:
      return answer(response, { error: 'there is nothing at this path' }, 404);
  }
});

function answer(response, facts, status = 200) {
  const text = identified(facts);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

function identified(facts) {
  return JSON.stringify({ version: VERSION, pid: process.pid, ...facts });
}

function stream(response, milliseconds) {
  response.writeHead(200, { 'content-type': 'text/plain' });
  let pieces = 0;
  const timer = setInterval(() => {
    pieces += 1;
    if (pieces < PIECES) return void response.write('.');
    clearInterval(timer);
    response.end(identified({ ms: milliseconds }));
  }, milliseconds / PIECES);
  response.on('close', () => clearInterval(timer));
}

function digest(request, response) {
  const hash = createHash('sha256');
  let length = 0;
  request.on('data', (piece) => {
    length += piece.length;
    hash.update(piece);
  });
  request.on('end', () => answer(response, { length, sha256: hash.digest('hex') }));
}

server.on('upgrade', (request, socket, head) => {
  const accept = createHash('sha1').update(request.headers['sec-websocket-key'] + WEBSOCKET_KEY);
  socket.on('error', () => socket.destroy());
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${accept.digest('base64')}\r\n\r\n`,
  );
  let waiting = head;
  const read = (piece) => {
    waiting = Buffer.concat([waiting, piece]);
    for (let frame = next(waiting); frame; frame = next(waiting)) {
      waiting = waiting.subarray(frame.bytes);
      receive(socket, frame);
    }
  };
  read(Buffer.alloc(0));
  socket.on('data', read);
  socket.on('end', () => socket.end());
});

/** The first whole frame of what has arrived. Clients send short ones, masked, in one piece. */
function next(buffer) {
  if (buffer.length < 6) return undefined;
  const length = buffer[1] & 0x7f;
  const bytes = 6 + length;
  if (length > 125) throw new Error('frames of this length are not spoken here');
  if (buffer.length < bytes) return undefined;
  const mask = buffer.subarray(2, 6);
  const payload = Buffer.from(buffer.subarray(6, bytes));
  for (let at = 0; at < length; at += 1) payload[at] ^= mask[at % 4];
  return { opcode: buffer[0] & 0x0f, payload, bytes };
}

function receive(socket, { opcode, payload }) {
  if (socket.writableEnded) return;
  if (opcode === TEXT) send(socket, TEXT, payload);
  if (opcode === PING) send(socket, PONG, payload);
  if (opcode === CLOSE) {
    send(socket, CLOSE, payload.subarray(0, 2));
    socket.end();
  }
}

function send(socket, opcode, payload) {
  socket.write(Buffer.concat([Buffer.from([0x80 | opcode, payload.length]), payload]));
}

if (HANDLES_TERM) {
  process.once('SIGTERM', () => {
    server.close((error) => {
      if (error) throw error; // To close what listens is no mistake, whoever closed it before.
      console.log('closed in good order');
      process.exit(0);
    });
    server.closeIdleConnections();
  });
}

server.listen(8888, '127.0.0.1', () => console.log(`version ${VERSION} listens, process ${process.pid}`));
