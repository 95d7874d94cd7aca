// The inspector, which only one process can have: it opens once the old one is gone.
'use strict';

/** Opens it where the supervisor was asked to (`--inspect`). */
function openInspector({ port, host }) {
  try {
    require('node:inspector').open(port, host);
  } catch (error) {
    process.stderr.write(`lockgate: the inspector does not open on ${host}:${port}: ${error.message}\n`);
  }
}

module.exports = { openInspector };
