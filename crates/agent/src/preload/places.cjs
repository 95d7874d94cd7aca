// Which paths are outside the release, and so may matter to a process that still serves.
'use strict';

const fs = require('node:fs');
const { basename, dirname, join, resolve, sep } = require('node:path');
const { fileURLToPath } = require('node:url');
const nodeModule = require('node:module');

// They are watched soon.
const { lstatSync } = fs;
const realpath = fs.realpathSync.native;

/** Read by every program, and no application's own. */
const SYSTEM = [
  '/etc',
  '/usr',
  '/lib',
  '/lib64',
  '/bin',
  '/sbin',
  '/proc',
  '/sys',
  '/dev',
  '/run/secrets',
  '/var/run/secrets',
  // Looked for by whoever asks whether it runs in a container.
  '/run/.containerenv',
];

/** What is written there does not stay. */
const DEVICES = ['/proc', '/sys', '/dev'];
const SHARED_MEMORY = '/dev/shm';

/** The supervisor itself writes it, before it starts anything. */
const VPN = '/tmp/vpn-config.json';

/** Code, as Node loads it. */
const CODE = /\.(?:[cm]?js|wasm)$/;
/** What a module consists of: its JSON is no data of an application. */
const MODULE = /\.(?:[cm]?js|wasm|json)$/;
/** What tools look for in every folder above their own. */
const PROJECT = /^(?:\..*|package\.json|node_modules|[jt]sconfig\.json|.*\.config\.[cm]?[jt]s)$/;
const MODULES = `${sep}node_modules${sep}`;

class Places {
  #release;
  #own;
  #folders = new Map();

  constructor(release) {
    this.#release = release;
    const caches = [nodeModule.getCompileCacheDir?.(), process.env.NODE_COMPILE_CACHE];
    this.#own = [__dirname, ...caches.filter(Boolean).map((it) => resolve(it))];
  }

  /**
   * The absolute path and where it really leads, where an act upon it counts.
   *
   * @param kind `read` or `write`
   * @param how `entry`: the name itself, not what a link leads to; `change`: only where
   *   it is there; `make`: only where it is not; `look`: it is only asked for
   */
  outside(kind, path, how = {}) {
    const absolute = absolutePath(path);
    if (absolute === undefined || below(absolute, this.#own)) {
      return undefined;
    }
    const { real, there } = this.#find(absolute, how.entry);
    if (below(real, [this.#release, ...this.#own]) || !this.#happens(kind, real, there, how)) {
      return undefined;
    }
    // Whatever is found in another release, by a name that each has in turn, would be
    // found in this one, were it alone: code, too, is not what it should be.
    const isOthers = below(real, [dirname(this.#release)]);
    const counts = isOthers || !(ignored(kind, absolute) || ignored(kind, real) || isCode(kind, absolute));
    return counts ? { absolute, real } : undefined;
  }

  /**
   * Whether an act comes about. To find nothing is to learn something, too: what the
   * process that serves will write at its end is not there yet. Only who looks for a
   * project's settings in every folder above the release does not mean anything by it.
   */
  #happens(kind, real, there, { change, make, look }) {
    if (kind === 'write') {
      return change ? there : !(make && there);
    }
    if (there) {
      return !look;
    }
    const above = below(this.#release, [dirname(real)]) && PROJECT.test(basename(real));
    return !above && !real.includes(MODULES);
  }

  /** A path as it is the same in every release. */
  shown(path) {
    const { real } = this.#find(resolve(path));
    return below(real, [this.#release]) ? real.slice(this.#release.length + 1) : path;
  }

  /** Where a path really leads, also where nothing is there. */
  #find(path, entry = false) {
    const real = path === dirname(path) ? path : join(this.#folder(dirname(path)), basename(path));
    const status = statusOf(real);
    if (!entry && status?.isSymbolicLink()) {
      const target = realOf(real);
      return { real: target ?? real, there: target !== undefined };
    }
    return { real, there: status !== undefined };
  }

  /** A real folder. Kept: an application that is not bundled asks thousands of times. */
  #folder(path) {
    const known = this.#folders.get(path);
    if (known !== undefined) {
      return known;
    }
    const real = realOf(path);
    if (real === undefined) {
      return path === dirname(path) ? path : join(this.#folder(dirname(path)), basename(path));
    }
    this.#folders.set(path, real);
    return real;
  }
}

/** Whether an act upon this path is no application's own. */
function ignored(kind, path) {
  if (kind === 'write') {
    return below(path, DEVICES) && !below(path, [SHARED_MEMORY]);
  }
  return (
    below(path, SYSTEM) ||
    path === VPN ||
    path.endsWith('.node') ||
    (MODULE.test(path) && path.includes(MODULES))
  );
}

/** Whether Node reads it to run it. */
function isCode(kind, path) {
  return kind === 'read' && CODE.test(path) && loading();
}

function below(path, folders) {
  return folders.some((folder) => path === folder || path.startsWith(join(folder, sep)));
}

/** A path in any form that `fs` takes; nothing for a descriptor. */
function absolutePath(path) {
  if (typeof path === 'string') return resolve(path);
  if (Buffer.isBuffer(path)) return resolve(path.toString());
  if (path instanceof URL && path.protocol === 'file:') return resolve(fileURLToPath(path));
  return undefined;
}

function realOf(path) {
  try {
    // To throw takes ten times as long as to look.
    return statusOf(path) && realpath(path);
  } catch {
    return undefined;
  }
}

function statusOf(path) {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** Whether Node itself reads a module now: its loader has called what is watched. */
function loading() {
  const frames = trace();
  const passing = (file) => !file || below(file, [__dirname]) || /^node:(?:internal\/)?fs\b/.test(file);
  const caller = frames.map((frame) => frame.getFileName()).find((file) => !passing(file));
  return /^node:internal\/(?:modules|source_map)\//.test(caller);
}

/** The frames of this call, for which no source map is read. */
function trace() {
  const { prepareStackTrace, stackTraceLimit } = Error;
  try {
    Error.prepareStackTrace = (_, frames) => frames;
    Error.stackTraceLimit = 20;
    return new Error().stack;
  } finally {
    Error.prepareStackTrace = prepareStackTrace;
    Error.stackTraceLimit = stackTraceLimit;
  }
}

module.exports = { Places };
