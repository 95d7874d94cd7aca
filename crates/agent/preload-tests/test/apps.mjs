// Applications that several tests run.

/** What a server does with a request; `held` are answered at SIGUSR2. */
const HANDLER = `
  const held = [];
  process.on('SIGUSR2', () => held.splice(0).forEach((answer) => answer()));
  const ROUTES = {
    '/': (_, response) => response.end('hello'),
    '/hold': (_, response) => held.push(() => response.end('held')),
    '/stream': (_, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' }).write('begun ');
      held.push(() => response.end('ended'));
    },
    '/upload': (request, response) => {
      let length = 0;
      request.on('data', (chunk) => (length += chunk.length));
      request.on('end', () => response.end('took ' + length));
    },
    '/early': (_, response) => response.end('not read'),
    '/events': (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', connection: 'keep-alive' });
      response.write('data: first\\n\\n');
      setInterval(() => response.write('data: more\\n\\n'), 5);
    },
    '/held-events': (_, response) => held.push(() => ROUTES['/events'](_, response)),
    '/keep-set': (_, response) => response.setHeader('Connection', 'keep-alive').end('kept'),
    '/keep-object': (_, response) => response.writeHead(200, 'Fine', { Connection: 'Keep-Alive', 'X-Other': 'a' }).end('kept'),
    '/keep-array': (_, response) => response.writeHead(200, ['connection', 'keep-alive', 'X-Other', 'a']).end('kept'),
  };
  const handler = (request, response) => {
    console.log('request', request.url);
    response.on('close', () => console.log('closed', request.url));
    ROUTES[request.url](request, response);
  };
`;

/** What an application says about a server after its drain, when it is terminated. */
const OWN_TERM = `
  const tell = (server) => {
    let closed = 0;
    server.on('close', () => (closed += 1));
    process.on('SIGTERM', () => {
      console.log('term', server.listening, JSON.stringify(server.address()));
      server.close((error) => console.log('cb', error, server.listening, server.address()));
    });
    process.on('exit', (code) => console.log('exit', code, 'closed', closed));
  };
`;

/** Whatever closes a connection here, it is not Node's own timer. */
const PATIENT = 'server.keepAliveTimeout = 0;';

export const HTTP = `${HANDLER}
  const server = require('node:http').createServer(handler).listen(8888); ${PATIENT}
`;

export const HTTP_WITH_TERM = `${HTTP} ${OWN_TERM} tell(server);`;

/** TLS without certificates: both ends know a key. */
const TLS = {
  ciphers: 'PSK-AES128-GCM-SHA256',
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.2',
};

const TLS_OF_SERVER = `{ ...${JSON.stringify(TLS)}, pskIdentityHint: '', pskCallback: () => Buffer.alloc(16, 1) }`;

export const TLS_OF_CLIENT = {
  ...TLS,
  pskCallback: () => ({ psk: Buffer.alloc(16, 1), identity: 'test' }),
  checkServerIdentity: () => undefined,
};

export const HTTPS = `${HANDLER}
  const server = require('node:https').createServer(${TLS_OF_SERVER}, handler).listen(8888); ${PATIENT}
`;

export const HTTPS_WITH_TERM = `${HTTPS} ${OWN_TERM} tell(server);`;

export const HTTP2 = `${HANDLER}
  const server = require('node:http2').createServer(handler).listen(8888);
  ${OWN_TERM} tell(server);
`;

export const HTTP2_SECURE = `${HANDLER}
  const server = require('node:http2')
    .createSecureServer({ ...${TLS_OF_SERVER}, allowHTTP1: true }, handler)
    .listen(8888);
`;

/** WebSockets by \`ws\`; echoes, and says how each was closed. */
const WEBSOCKETS = `
  const { WebSocketServer } = require('ws');
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => {
    console.log('connected');
    socket.on('message', (text) => socket.send(String(text)));
    socket.on('close', (code) => console.log('closed with', code));
  });
`;

export const WS = `${HTTP} ${WEBSOCKETS}`;
export const WSS = `${HTTPS} ${WEBSOCKETS}`;

/** A WebSocket server that is written by hand; grants at SIGUSR2 what asks for /held. */
export const HAND_WRITTEN = `${HTTP}
  const { createHash } = require('node:crypto');
  server.on('upgrade', (request, socket) => {
    console.log('upgrade', request.url);
    const key = request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
    const grant = () => socket.write(
      'HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: ' + request.headers.upgrade + '\\r\\nConnection: Upgrade\\r\\n' +
      'Sec-WebSocket-Accept: ' + createHash('sha1').update(key).digest('base64') + '\\r\\n\\r\\n');
    if (request.url === '/refused') socket.end('HTTP/1.1 403 Forbidden\\r\\ncontent-length: 0\\r\\n\\r\\n');
    else if (request.url === '/denied') socket.write('HTTP/1.1 403 Forbidden\\r\\ncontent-length: 0\\r\\n\\r\\n');
    else if (request.url === '/held') held.push(grant);
    else grant();
    if (request.url === '/busy') setInterval(() => socket.write(Buffer.from([0x82, 2, 1, 2])), 1);
    socket.on('end', () => socket.end());
  });
`;
