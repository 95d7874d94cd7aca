// Files and folders that are read, written, made or removed.
'use strict';

const fs = require('node:fs');
const { precede } = require('./replace.cjs');

const { O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND } = fs.constants;

const READ = ['read'];
const WRITE = ['write'];
const ENTRY = { entry: true };
const CHANGE = { change: true };
const CHANGE_ENTRY = { change: true, entry: true };

/** Functions that only ask for a file; only that there is none tells them something. */
const LOOKS = ['stat', 'lstat', 'access', 'exists'];
const LOOK = { look: true };

/** By function: for each path among its arguments what happens to it. */
const FUNCTIONS = {
  readFile: [READ],
  readdir: [READ],
  opendir: [READ],
  openAsBlob: [READ],
  writeFile: [WRITE],
  appendFile: [WRITE],
  mkdir: [['write', { make: true }]],
  mkdtemp: [WRITE],
  mkdtempDisposable: [WRITE],
  truncate: [['write', CHANGE]],
  chmod: [['write', CHANGE]],
  chown: [['write', CHANGE]],
  utimes: [['write', CHANGE]],
  lchmod: [['write', CHANGE_ENTRY]],
  lchown: [['write', CHANGE_ENTRY]],
  lutimes: [['write', CHANGE_ENTRY]],
  rm: [['write', CHANGE_ENTRY]],
  rmdir: [['write', CHANGE_ENTRY]],
  unlink: [['write', CHANGE_ENTRY]],
  rename: [['write', CHANGE_ENTRY], ['write', ENTRY]],
  symlink: [undefined, ['write', ENTRY]],
  link: [undefined, ['write', ENTRY]],
  copyFile: [READ, WRITE],
  cp: [READ, WRITE],
};

/** Watches `fs` in all its forms: callbacks, synchronous, promises. Streams open files. */
function watchFiles(record) {
  const restore = [];
  const watch = (owner, name, before) => {
    if (typeof owner[name] === 'function') {
      restore.push(precede(owner, name, (_, args) => before(args)));
    }
  };
  const everywhere = (name, before) => {
    watch(fs, name, before);
    watch(fs, `${name}Sync`, before);
    watch(fs.promises, name, before);
  };
  for (const [name, paths] of Object.entries(FUNCTIONS)) {
    everywhere(name, (args) =>
      paths.forEach((act, index) => act && record.file(act[0], args[index], act[1])),
    );
  }
  for (const name of LOOKS) {
    everywhere(name, ([path]) => record.file('read', path, LOOK));
  }
  everywhere('open', ([path, flags]) => record.file(writes(flags) ? 'write' : 'read', path));
  everywhere('glob', ([, options]) => record.file('read', options?.cwd ?? '.'));
  watch(process, 'dlopen', ([, path]) => record.file('read', path));
  watch(process, 'loadEnvFile', ([path = '.env']) => record.file('read', path));
  return restore;
}

/** Whether a file that is opened so can be changed. */
function writes(flags) {
  if (typeof flags === 'number') {
    return (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND)) !== 0;
  }
  return typeof flags === 'string' && /[wa+]/.test(flags);
}

module.exports = { watchFiles };
