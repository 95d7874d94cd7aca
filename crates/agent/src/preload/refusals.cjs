// What cannot work while a second process is held beside this one.
'use strict';

const cluster = require('node:cluster');

/**
 * Lets `cluster.fork` fail by name: the workers of a cluster are processes of their
 * own, which no gate holds and no drain reaches.
 */
function refuseCluster(strategy) {
  cluster.fork = function fork() {
    throw Object.assign(
      new Error(
        `cluster.fork: the \`cluster\` module is not possible with strategy = "${strategy}", ` +
          'because the workers of a cluster cannot be held back until the old process is gone; ' +
          'run one process per gateway (more gateways with --gateways), ' +
          'or set strategy = "cold" in [app] of lockgate.toml',
      ),
      { code: 'ERR_LOCKGATE_CLUSTER' },
    );
  };
}

module.exports = { refuseCluster };
