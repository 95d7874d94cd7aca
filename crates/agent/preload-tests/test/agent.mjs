// Plays the agent: starts an application with a held socket, a gate and a private
// socket, and talks to its preload.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));

const MODULES = path.join(here, '..', 'node_modules');
const PRELOAD = path.join(here, '..', '..', 'src', 'preload');
const MAIN = bundle();

/** Writes the preload as the agent does: all its files in one. */
function bundle() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'preload-bundle-'));
  process.on('exit', () => fs.rmSync(folder, { recursive: true }));
  const read = (name) => fs.readFileSync(path.join(PRELOAD, name), 'utf8');
  const files = fs
    .readdirSync(PRELOAD)
    .filter((name) => name !== 'loader.cjs')
    .map((name) => `'./${name}'(module, require) {\n${read(name)}},\n`);
  const main = path.join(folder, 'main.cjs');
  fs.writeFileSync(main, `'use strict';\nconst files = {\n${files.join('')}};\n${read('loader.cjs')}`);
  return main;
}

/** How many duplicates of each socket the agent hands over. */
const DUPLICATES = 4;
const FIRST = 3;
const DEADLINE_MS = 15_000;

const cleanups = new WeakMap();

/** Cleans up at the end of a test; the last first. */
export function after(t, cleanup) {
  if (!cleanups.has(t)) {
    cleanups.set(t, []);
    t.after(async () => {
      for (const it of cleanups.get(t).reverse()) await it();
    });
  }
  cleanups.get(t).push(cleanup);
}

/** A folder of this test's own, outside every release. */
export function temporary(t) {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'preload-')));
  after(t, () => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Listens on two descriptors, and ends before it could accept anything. */
const LISTEN = `
  const { createServer } = require('node:net');
  for (const fd of [3, 4]) createServer().listen({ fd }, Number(process.argv[1]));
  process.kill(process.pid, 'SIGKILL');
`;

/**
 * A socket that listens while nobody accepts: it is made here, and a process that ends
 * at once has called `listen` on it.
 */
export class Held {
  constructor(t) {
    this.tcp = net._createServerHandle('127.0.0.1', 0, 4);
    const folder = temporary(t);
    this.path = path.join(folder, 'app.sock');
    this.pipe = net._createServerHandle(this.path, -1, -1);
    this.queue(4096);
    const address = {};
    this.tcp.getsockname(address);
    this.port = address.port;
    after(t, () => {
      this.tcp.close();
      this.pipe.close();
    });
  }

  /** Lets as many connections wait, and one more. */
  queue(length) {
    spawnSync(process.execPath, ['-e', LISTEN, String(length)], {
      stdio: ['ignore', 'inherit', 'inherit', this.tcp.fd, this.pipe.fd],
    });
  }
}

/** A folder of releases, and in it one with these files, each a name and a text. */
export function release(t, files, name = 'new', releases = temporary(t)) {
  const folder = path.join(releases, name);
  fs.mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), text);
  }
  fs.symlinkSync(MODULES, path.join(folder, 'node_modules'));
  return folder;
}

/** An application under the preload. */
export class Agent {
  stdout = '';
  stderr = '';
  #messages = [];
  #changed = [];

  /**
   * Starts an application.
   *
   * @param code its main file
   * @param options `{held, module, files, folder, env, nodeOptions}`; the rest is what
   *   the agent says in LOCKGATE_SOCKETS
   */
  constructor(t, code, options = {}) {
    const { held = new Held(t), module = false, files, env = {}, nodeOptions, ...handed } = options;
    const main = module ? 'main.mjs' : 'main.cjs';
    const { folder = release(t, { [main]: code, ...files }), ...rest } = handed;
    this.folder = folder;
    this.held = held;
    this.port = held.port;
    const gate = FIRST + DUPLICATES;
    const sockets = JSON.stringify({
      sockets: [
        { port: 8888, held: held.port, address: '127.0.0.1', fds: [3, 4, 5, 6] },
      ],
      node_options: nodeOptions ?? null,
      gate,
      private: gate + 1,
      strategy: 'auto',
      release: folder,
      inspect: null,
      ...rest,
    });
    const preload = `--require=${JSON.stringify(MAIN)}`;
    this.process = spawn(process.execPath, [path.join(folder, main)], {
      cwd: folder,
      env: {
        ...inherited(),
        LOCKGATE_SOCKETS: sockets,
        LOCKGATE_START: 'mark',
        LISTEN_FDS: '1',
        LISTEN_FDNAMES: 'app-8888',
        LISTEN_PID: '1',
        HELD_PORT: String(held.port),
        NODE_OPTIONS: nodeOptions ? `${nodeOptions} ${preload}` : preload,
        ...env,
      },
      stdio: [
        'ignore',
        'pipe',
        'pipe',
        ...Array(DUPLICATES).fill(held.tcp.fd),
        'pipe',
        held.pipe.fd,
      ],
    });
    this.pid = this.process.pid;
    this.channel = this.process.stdio[gate];
    this.exited = once(this.process, 'close').then(([code, signal]) => ({ code, signal }));
    this.exited.then(() => this.#wake());
    this.process.stdout.setEncoding('utf8').on('data', (text) => this.#wake((this.stdout += text)));
    this.process.stderr.setEncoding('utf8').on('data', (text) => this.#wake((this.stderr += text)));
    this.#listen();
    after(t, () => this.end());
  }

  #listen() {
    let rest = '';
    this.channel.setEncoding('utf8').on('error', () => {});
    this.channel.on('data', (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      this.#messages.push(...lines.map((line) => JSON.parse(line)));
      this.#wake();
    });
  }

  #wake() {
    this.#changed.splice(0).forEach((it) => it());
  }

  /** Waits until a condition holds; `what` is for the message when it never does. */
  async until(what, condition) {
    const deadline = Date.now() + DEADLINE_MS;
    for (;;) {
      const answer = condition();
      if (answer) return answer;
      const left = deadline - Date.now();
      const ended = this.process.exitCode !== null || this.process.signalCode !== null;
      if (left <= 0 || (ended && this.process.stdout.closed && this.process.stderr.closed)) {
        const how = ended ? `ended (${this.process.exitCode ?? this.process.signalCode})` : 'goes on';
        throw new Error(`${what} did not happen; the process ${how}\n${this.stdout}\n${this.stderr}`);
      }
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, Math.min(left, 500));
        this.#changed.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** The first message of this type, said already or awaited. */
  message(type) {
    return this.until(`message ${type}`, () => this.#messages.find((it) => it.type === type));
  }

  /** The messages so far. */
  get messages() {
    return this.#messages.map(({ type }) => type);
  }

  /** Waits for a line on stdout. */
  async prints(pattern) {
    return this.until(`line ${pattern}`, () => pattern.exec(this.stdout));
  }

  go(byte = 'G') {
    this.channel.write(byte);
  }

  /** Waits for the gate, opens it, and waits until it listens on the held port. */
  async serve() {
    await this.message('gate');
    this.go();
    await this.message('listening');
    return this;
  }

  drain(order = {}) {
    const { linger_ms = 1000, drain_ms = 5000, code = 1012 } = order;
    this.channel.write(`${JSON.stringify({ type: 'drain', linger_ms, drain_ms, code })}\n`);
  }

  terminate() {
    this.process.kill('SIGTERM');
    return this.exited;
  }

  /** Lets the process stand still, whatever it is doing. */
  async freeze() {
    this.process.kill('SIGSTOP');
    const state = () => fs.readFileSync(`/proc/${this.pid}/stat`, 'utf8').split(') ')[1][0];
    await this.until('a standstill', () => state() === 'T');
  }

  async end() {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill('SIGKILL');
    }
    await this.exited;
    this.channel.destroy();
  }

  /** Asks on the held socket, on a connection of its own. */
  get(target = '/', options = {}) {
    return request({ host: '127.0.0.1', port: this.port, path: target, agent: false, ...options });
  }

  /** Asks on the private socket, as the agent does. */
  ask(target = '/', options = {}) {
    return request({ socketPath: this.held.path, path: target, agent: false, ...options });
  }

  /** A bare connection to the held socket. */
  async connect() {
    const socket = net.connect(this.port, '127.0.0.1');
    await once(socket, 'connect');
    return new Peer(socket);
  }
}

/** What the test runner itself sets is not the application's. */
function inherited() {
  const { NODE_TEST_CONTEXT, NODE_OPTIONS, NODE_COMPILE_CACHE, ...rest } = process.env;
  return rest;
}

/** One request; answers `{status, headers, text}`. */
export async function request(options, body) {
  const { promise, resolve, reject } = deferred();
  const asked = http.request(options, resolve);
  asked.on('error', reject);
  asked.end(body);
  const response = await promise;
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  return { status: response.statusCode, headers: response.headers, text };
}

export function deferred() {
  let resolve, reject;
  const promise = new Promise((...both) => ([resolve, reject] = both));
  return { promise, resolve, reject };
}

/** One end of a connection, whose every byte is kept. */
export class Peer {
  received = Buffer.alloc(0);
  ended = false;
  error = undefined;
  #changed = [];

  constructor(socket) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.#wake();
    });
    socket.on('end', () => this.#wake((this.ended = true)));
    socket.on('error', (error) => this.#wake((this.error = error)));
    socket.on('close', () => this.#wake((this.closed = true)));
  }

  #wake() {
    this.#changed.splice(0).forEach((it) => it());
  }

  get text() {
    return this.received.toString('latin1');
  }

  write(text) {
    this.socket.write(text);
    return this;
  }

  async until(what, condition) {
    const deadline = Date.now() + DEADLINE_MS;
    while (!condition()) {
      if (Date.now() > deadline) throw new Error(`${what} did not happen: ${this.text}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, 500);
        this.#changed.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  reads(text) {
    return this.until(`\`${text}\``, () => this.text.includes(text));
  }

  /** Waits for the other end to end. */
  ends() {
    return this.until('the end', () => this.ended || this.closed);
  }
}
