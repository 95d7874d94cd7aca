// Loaded by Node before the application (`--require`).
//
//   environment ─▶ clean ─▶ the application loads ─▶ first `listen` ─▶ gate ─▶ serves ─▶ drain
//                  (record of what it does outside its release ────────┘)
//
// The supervisor owns the application's listening sockets across restarts and hands
// duplicates of them over as inherited descriptors (`listen`). It starts a new process
// while the old one still serves; this one is held at its first `listen` (`gate`) and
// says what it has done until then (`record`). Later the supervisor asks on a private
// socket whether it is ready (`readiness`), and tells it to finish its work (`drain`).
//
// It is inert in Workers and in child processes: it takes its own traces out of the
// environment before the application runs.
'use strict';

/**
 * What the supervisor says: `{sockets: [{port, held, address, fds}], node_options, gate,
 * private, strategy, release, inspect}`. Without `gate` there is nobody to talk to.
 */
const handed = process.env.LOCKGATE_SOCKETS;

if (handed !== undefined && require('node:worker_threads').isMainThread) {
  begin(JSON.parse(handed));
}

function begin({ node_options: nodeOptions, sockets, ...rest }) {
  clean(process.env, nodeOptions);
  if (rest.gate === undefined) {
    const { takeSockets } = require('./listen.cjs');
    takeSockets(sockets, () => {});
    return;
  }
  require('./supervised.cjs').begin(sockets, rest);
}

/** Leaves the environment as the application would have it without us. */
function clean(env, nodeOptions) {
  for (const name of ['LOCKGATE_SOCKETS', 'LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) {
    delete env[name];
  }
  if (nodeOptions === null) {
    delete env.NODE_OPTIONS;
  } else {
    env.NODE_OPTIONS = nodeOptions;
  }
}
