// Makes `server.listen(8888)`, in every form, take an inherited socket instead of
// binding. Ports that are not handed over are bound as ever.
//
// The primary of a cluster listens for its workers, which need nothing of their own.
'use strict';

const { Server } = require('node:net');

/**
 * How many connections may wait in a held socket's queue, and one more: as the
 * supervisor has it. Each `listen` sets it anew, and Node's own choice is 511.
 */
const BACKLOG = 4096;

/**
 * Maps `listen` on the ports of these sockets to their descriptors.
 *
 * @param pass is called before anything is listened on, with what that is
 * @returns what was taken: `{listen, servers(), socketOf(server)}`, where `listen` is
 *   Node's own
 */
function takeSockets(sockets, pass) {
  const { listen } = Server.prototype;
  const taken = new Map();

  Server.prototype.listen = function (...args) {
    pass(describe(args));
    const asked = read(args);
    const socket = asked && !this._handle && find(sockets, asked.port);
    if (!socket) {
      return listen.apply(this, args);
    }
    const problem = refusal(socket, asked);
    if (problem) {
      process.nextTick(() => this.emit('error', problem));
      return this;
    }
    const fd = socket.fds.shift();
    const options = asked.signal === undefined ? { fd } : { fd, signal: asked.signal };
    const rest = asked.callback ? [asked.callback] : [];
    // Node takes no backlog from the options where they name a descriptor.
    listen.call(this, options, BACKLOG, ...rest);
    sayPort(this._handle, socket, asked);
    taken.set(this, { handle: this._handle, socket });
    return this;
  };

  return {
    listen,
    /** The servers that listen on a held socket now. */
    servers() {
      for (const [server, { handle }] of taken) {
        if (server._handle !== handle) taken.delete(server);
      }
      return [...taken.keys()];
    },
    socketOf: (server) => taken.get(server)?.socket,
  };
}

/**
 * The port, host and callback of a `listen` call, or nothing where it is not about
 * a port: a path, a handle, a descriptor, or something that Node shall refuse.
 */
function read(args) {
  const last = args.at(-1);
  const callback = typeof last === 'function' ? last : undefined;
  const [first, second] = args;
  if (typeof first === 'object' && first !== null) {
    const foreign = first._handle || first.handle || first.fd >= 0 || first.path !== undefined;
    const port = foreign ? undefined : number(first.port);
    const { host, signal, reusePort } = first;
    return port === undefined ? undefined : { port, host, signal, reusePort, callback };
  }
  const port = number(first);
  const host = typeof second === 'string' && number(second) === undefined ? second : undefined;
  return port === undefined ? undefined : { port, host, callback };
}

/** A port as Node takes it: a number, or a string of one. */
function number(value) {
  const text = typeof value === 'string' && value.trim() !== '';
  const port = typeof value === 'number' || text ? Number(value) : NaN;
  return Number.isInteger(port) && port > 0 && port < 65536 ? port : undefined;
}

/** What a `listen` call is about, for people. */
function describe(args) {
  const port = read(args)?.port;
  if (port !== undefined) {
    return `port ${port}`;
  }
  const [first] = args;
  const path = typeof first === 'object' && first !== null ? first.path : first;
  if (typeof path === 'string') {
    return `path ${path}`;
  }
  if (typeof first === 'object' && first !== null) {
    if (first.fd >= 0) return `descriptor ${first.fd}`;
    if (first._handle || first.handle) return 'a handle';
  }
  return 'a free port';
}

/** The socket for a port: as the application names it, or as it is really held. */
function find(sockets, port) {
  return (
    sockets.find((socket) => socket.port === port) ?? sockets.find((socket) => socket.held === port)
  );
}

/** Why a handed-over socket cannot be used for this call. */
function refusal(socket, asked) {
  socket.limit ??= socket.fds.length;
  if (asked.reusePort) {
    return fault(
      'ERR_LOCKGATE_REUSE_PORT',
      `listen: reusePort is not possible on port ${socket.port}, whose socket the supervisor holds`,
    );
  }
  if (socket.fds.length === 0) {
    return fault(
      'ERR_LOCKGATE_LISTEN_LIMIT',
      `listen: port ${socket.port} was listened on more than ${socket.limit} times in one process, ` +
        `which is the limit for a socket that the supervisor holds`,
    );
  }
  return undefined;
}

function fault(code, message) {
  return Object.assign(new Error(message), { code, syscall: 'listen' });
}

/**
 * Lets the handle, and so `server.address()`, say the port that was asked for, where
 * the socket is really held on another one: what the application prints or compares
 * stays true, and the workers of a cluster believe their primary.
 */
function sayPort(handle, socket, asked) {
  if (!handle || socket.held === asked.port) {
    return;
  }
  const { getsockname } = handle;
  handle.getsockname = (out) => {
    const error = getsockname.call(handle, out);
    out.port = asked.port;
    return error;
  };
}

module.exports = { takeSockets };
