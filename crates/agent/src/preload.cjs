// Loaded by Node before the application (`--require`).
//
// The supervisor holds the application's listening sockets across restarts and
// hands duplicates of them over as inherited descriptors. This file makes
// `server.listen(8888)`, in every form, take such a descriptor instead of binding.
// Ports that are not handed over are bound as ever.
//
// The primary of a cluster listens for its workers, which need nothing of their own.
//
// It is inert in Workers and in child processes: it takes its own traces out of the
// environment before the application runs.
'use strict';

const { env } = process;

/** What the supervisor says: `{sockets: [{port, held, address, fds}], node_options}`. */
const handed = env.LOCKGATE_SOCKETS;
const { isMainThread } = require('node:worker_threads');

if (handed !== undefined && isMainThread) {
  const { sockets, node_options: nodeOptions, gate } = JSON.parse(handed);
  clean(nodeOptions);
  take(sockets, gate);
}

/** Leaves the environment as the application would have it without us. */
function clean(nodeOptions) {
  for (const name of ['LOCKGATE_SOCKETS', 'LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) {
    delete env[name];
  }
  if (nodeOptions === null) {
    delete env.NODE_OPTIONS;
  } else {
    env.NODE_OPTIONS = nodeOptions;
  }
}

function say(gate, message) {
  require('node:fs').writeSync(gate, `${JSON.stringify(message)}\n`);
}

/** Waits until the supervisor says go. */
function pass(gate) {
  say(gate, { type: 'gate', seen: [], at: 'listen' });
  const byte = Buffer.alloc(1);
  if (require('node:fs').readSync(gate, byte) !== 1 || byte[0] !== 0x47) {
    process.kill(process.pid, 'SIGKILL');
  }
}

/** Maps `listen` on the ports of these sockets to their descriptors. */
function take(sockets, gate) {
  let held = gate !== undefined;
  const { Server } = require('node:net');
  const listen = Server.prototype.listen;

  Server.prototype.listen = function (...args) {
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
    if (held) {
      held = false;
      pass(gate);
    }
    listen.call(this, options, ...rest);
    if (gate !== undefined) {
      say(gate, { type: 'listening', port: socket.port, speaks: 'http' });
      require('node:net').createServer((c) => this.emit('connection', c)).listen({ fd: gate + 1 }).unref();
    }
    sayPort(this._handle, socket, asked);
    return this;
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
