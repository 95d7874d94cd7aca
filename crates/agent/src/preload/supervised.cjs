// Puts the parts together, for a process that a supervisor talks to.
'use strict';

const { Channel } = require('./channel.cjs');
const { Record } = require('./record.cjs');
const { guard } = require('./gate.cjs');
const { takeSockets } = require('./listen.cjs');
const { watchServers } = require('./events.cjs');
const { Connections } = require('./connections.cjs');
const { Streams } = require('./http2.cjs');
const { Drain } = require('./drain.cjs');
const { Readiness, speaks } = require('./readiness.cjs');
const { refuseCluster } = require('./refusals.cjs');
const { openInspector } = require('./inspector.cjs');
const { flushCompileCache } = require('./compile-cache.cjs');

/** Holds this process at its first `listen`, then follows what the supervisor says. */
function begin(sockets, { gate, private: privately, strategy, release, inspect }) {
  const channel = new Channel(gate);
  const record = new Record(release);
  const pass = guard(channel, record, opened);
  const taken = takeSockets(sockets, pass);
  const connections = new Connections();
  const streams = new Streams();
  const readiness = new Readiness(privately, taken.listen, connections);

  watchServers({
    ...connections.handlers(),
    ...streams.handlers(),
    listening(server) {
      if (taken.socketOf(server) !== sockets[0]) return;
      channel.say({ type: 'listening', port: sockets[0].port, speaks: speaks(server) });
      readiness.serve(server);
    },
  });
  if (strategy !== 'cold') {
    refuseCluster(strategy);
  }
  record.start();

  /** The old process is gone: from here on this one is alone. */
  function opened() {
    record.stop();
    if (inspect) {
      openInspector(inspect);
    }
    connections.watchRequests();
    flushCompileCache();
    const drain = new Drain({ channel, connections, streams, taken });
    channel.follow({ drain: (message) => drain.begin(message) });
  }
}

module.exports = { begin };
