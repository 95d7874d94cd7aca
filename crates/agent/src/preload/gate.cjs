// The gate: this process stands still at its first `listen` or `bind` of any kind
// until the supervisor says go.
'use strict';

const net = require('node:net');
const dgram = require('node:dgram');
const { syncBuiltinESMExports } = require('node:module');

/** The one byte that means go. */
const GO = 'G'.charCodeAt(0);

/**
 * Puts the gate before every way to take an address. `pass(at)` is for `listen`, which
 * has more to do; datagram sockets and bound sockets are guarded here until it is open.
 *
 * @param opened is called once, when the gate has opened
 */
function guard(channel, record, opened) {
  let open = false;
  const restore = guardDatagrams(pass);
  guardBoundSockets(pass, restore);

  function pass(at) {
    if (open) {
      return;
    }
    open = true;
    channel.say({ type: 'gate', seen: record.seen(), at });
    if (channel.byte() !== GO) {
      end();
    }
    restore.forEach((it) => it());
    opened();
    // What was put back counts for the names that ES modules have imported, too.
    syncBuiltinESMExports();
  }
  return pass;
}

/** Ends this process at once: it has passed nothing that it would have to undo. */
function end() {
  process.kill(process.pid, 'SIGKILL');
  // The signal is on its way; nothing may happen before it arrives.
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

/** Sending and connecting bind a datagram socket too, by the same methods. */
function guardDatagrams(pass) {
  const { prototype } = dgram.Socket;
  return ['bind', 'bindSync']
    .filter((name) => typeof prototype[name] === 'function')
    .map((name) => {
      const bind = prototype[name];
      const guarded = {
        [name](...args) {
          pass(datagramAddress(args[0]));
          return Reflect.apply(bind, this, args);
        },
      }[name];
      prototype[name] = guarded;
      return () => {
        if (prototype[name] === guarded) prototype[name] = bind;
      };
    });
}

function datagramAddress(first) {
  const port = typeof first === 'object' && first !== null ? first.port : first;
  return port ? `udp port ${port}` : 'udp';
}

/** Newer Node binds an address before it listens on it (`new net.BoundSocket`). */
function guardBoundSockets(pass, restore) {
  const { BoundSocket } = net;
  if (BoundSocket === undefined) {
    return;
  }
  const guarded = new Proxy(BoundSocket, {
    construct(target, args, newTarget) {
      pass('a bound socket');
      return Reflect.construct(target, args, newTarget);
    },
  });
  net.BoundSocket = guarded;
  restore.push(() => {
    if (net.BoundSocket === guarded) net.BoundSocket = BoundSocket;
  });
}

module.exports = { guard };
