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

/** What every client has, and a unix socket has not: addresses, here those of loopback. */
const LOOPBACK = { address: '127.0.0.1', family: 'IPv4' };

/** No client's, and not 0, which many take for none. */
const NO_CLIENTS_PORT = 1;

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
    return;
  }
  addressed(socket, server.address()?.port);
  if (server.listenerCount('secureConnection') > 0) {
    server.emit('secureConnection', Object.assign(socket, AS_TLS));
  } else {
    server.emit('connection', socket);
  }
}

/**
 * Gives a socket the addresses of a client on this host. An application that looks for
 * its client's address finds one with each of its clients, and may rely on that.
 */
function addressed(socket, port) {
  const { address, family } = LOOPBACK;
  const own = {
    remoteAddress: address,
    remoteFamily: family,
    remotePort: NO_CLIENTS_PORT,
    localAddress: address,
    localFamily: family,
    localPort: port,
    address: () => ({ address, family, port }),
  };
  for (const [name, value] of Object.entries(own)) {
    // The prototype has getters, which an assignment does not replace.
    Object.defineProperty(socket, name, { value, writable: true, enumerable: true, configurable: true });
  }
}

module.exports = { Readiness, speaks };
