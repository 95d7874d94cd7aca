// The supervisor asks the application itself whether it is ready, on a private socket
// where no client waits before it.
'use strict';

const { Server } = require('node:net');
const { isHttp2 } = require('./http2.cjs');

/** What a server speaks: `http` (also behind TLS), `http2` or `raw`. */
function speaks(server) {
  if (isHttp2(server)) return 'http2';
  return typeof server.closeIdleConnections === 'function' ? 'http' : 'raw';
}

/** What an application asks a TLS socket: here, of a client without a certificate. */
const AS_TLS = {
  encrypted: true,
  authorized: false,
  alpnProtocol: false,
  servername: false,
  getPeerCertificate: () => ({}),
  getPeerX509Certificate: () => undefined,
  getCipher: () => undefined,
  getProtocol: () => null,
  getSession: () => undefined,
};

/** Hands the connections on the private socket to a server. */
class Readiness {
  #fd;
  #listen;
  #connections;
  #servers = [];
  #waiting = [];

  /**
   * @param fd a listening unix socket, inherited
   * @param listen Node's own
   * @param connections what is left out of them
   */
  constructor(fd, listen, connections) {
    this.#fd = fd;
    this.#listen = listen;
    this.#connections = connections;
  }

  /** This server listens now; the first one that does is asked. */
  serve(server) {
    if (this.#servers.length === 0) {
      this.#accept();
    }
    if (!this.#servers.includes(server)) {
      this.#servers.push(server);
    }
    this.#waiting.splice(0).forEach((socket) => handOver(server, socket));
  }

  #accept() {
    const accepting = new Server((socket) => {
      this.#connections.leaveOut(socket);
      const server = this.#servers.find(({ listening }) => listening);
      if (server) handOver(server, socket);
      else this.#waiting.push(socket);
    });
    this.#connections.leaveOut(accepting);
    this.#listen.call(accepting, { fd: this.#fd });
    accepting.unref();
  }
}

function handOver(server, socket) {
  socket.on('error', () => {});
  if (speaks(server) !== 'http') {
    socket.destroy();
  } else if (server.listenerCount('secureConnection') > 0) {
    server.emit('secureConnection', Object.assign(socket, AS_TLS));
  } else {
    server.emit('connection', socket);
  }
}

module.exports = { Readiness, speaks };
