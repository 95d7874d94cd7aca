// WebSockets: connections whose request for another protocol was granted.
'use strict';

/** A close frame of a server: final, opcode 8, not masked, two bytes of a code. */
function closeFrame(code) {
  const frame = Buffer.from([0x88, 0x02, 0, 0]);
  frame.writeUInt16BE(code, 2);
  return frame;
}

function isWebSocket(request) {
  return request.headers.upgrade?.toLowerCase() === 'websocket';
}

/**
 * Calls back when something is first written to a socket, with whether that grants the
 * other protocol (`101`, or `200` for CONNECT).
 */
function awaitAnswer(socket, answered) {
  const { write } = socket;
  const own = Object.getOwnPropertyDescriptor(socket, 'write');
  socket.write = function (...args) {
    if (own) Object.defineProperty(socket, 'write', own);
    else delete socket.write;
    answered(GRANTED.test(start(args[0])));
    return Reflect.apply(write, this, args);
  };
}

const GRANTED = /^HTTP\/1\.[01] (?:101|2\d\d) /;

/** As many characters of what is written as a status takes. */
function start(chunk) {
  return chunk instanceof Uint8Array
    ? Buffer.from(chunk.subarray(0, 16)).toString('latin1')
    : String(chunk).slice(0, 16);
}

/**
 * Tells a WebSocket that this process goes, and why. Between two turns of the event
 * loop, where no library has written half a frame.
 */
function closeWebSocket(socket, code) {
  // What the application writes after our frame is its own affair no more.
  socket.on('error', () => {});
  setImmediate(() => {
    if (socket.writable) socket.write(closeFrame(code));
  });
}

module.exports = { awaitAnswer, closeWebSocket, isWebSocket };
