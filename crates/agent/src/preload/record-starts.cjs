// Processes and Workers that are started.
'use strict';

const childProcess = require('node:child_process');
const { basename } = require('node:path');
const { fileURLToPath } = require('node:url');
const workerThreads = require('node:worker_threads');
const { precede, quietly } = require('./replace.cjs');

/** A command for a shell that is nothing but a program and its arguments. */
const PLAIN = /^\s*([^\s;&|<>$`(){}*?'"\\=]+)(?:\s[^;&|<>$`(){}\n]*)?$/;

/** Watches `child_process` and `new Worker`. */
function watchStarts(record, places) {
  const program = (file, shellCommand) => {
    const plain = shellCommand === undefined ? undefined : PLAIN.exec(shellCommand)?.[1];
    record.act('start', basename(String(plain ?? file)));
  };
  return [
    // What spawn, exec, execFile and fork end in.
    precede(childProcess.ChildProcess.prototype, 'spawn', (_, [options]) => {
      const { file, args } = options ?? {};
      program(file, isShell(file) && args?.[1] === '-c' ? args[2] : undefined);
    }),
    precede(childProcess, 'execSync', (_, [command]) => program('sh', String(command))),
    precede(childProcess, 'execFileSync', (_, [file, ...rest]) => {
      program(file, options(rest).shell ? file : undefined);
    }),
    precede(childProcess, 'spawnSync', (_, [file, ...rest]) => {
      program(file, options(rest).shell ? file : undefined);
    }),
    watchWorkers((file) => record.act('start', `worker:${places.shown(file)}`)),
  ];
}

const isShell = (file) => ['sh', 'bash', 'dash'].includes(basename(String(file)));

/** The options of a call, after or instead of its arguments. */
function options(rest) {
  return rest.find((it) => typeof it === 'object' && it !== null && !Array.isArray(it)) ?? {};
}

/** A class that is derived from must stay one; so it is wrapped whole. */
function watchWorkers(started) {
  const { Worker } = workerThreads;
  let watching = true;
  const watched = new Proxy(Worker, {
    construct(target, args, newTarget) {
      if (watching) {
        quietly(() => started(fileOf(args)));
      }
      return Reflect.construct(target, args, newTarget);
    },
  });
  workerThreads.Worker = watched;
  return () => {
    watching = false;
    if (workerThreads.Worker === watched) workerThreads.Worker = Worker;
  };
}

function fileOf([file, settings]) {
  if (settings?.eval) return 'eval';
  if (file instanceof URL) return file.protocol === 'file:' ? fileURLToPath(file) : file.protocol;
  return String(file);
}

module.exports = { watchStarts };
