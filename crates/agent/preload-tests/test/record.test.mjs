// What an application does before its first `listen` is told at the gate.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { once } from 'node:events';
import module from 'node:module';
import net from 'node:net';
import path from 'node:path';
import test from 'node:test';
import { Agent, release, temporary } from './agent.mjs';

const BEGIN = `
  const fs = require('node:fs'), fsp = require('node:fs/promises'), net = require('node:net');
  const path = require('node:path'), util = require('node:util');
  const { OUT } = process.env;
  const out = (name) => path.join(OUT, name);
  const listen = () => net.createServer().listen(8888);
`;

/** A folder outside the release, with `file`, `folder/inner` and a link to `file`. */
function outside(t) {
  const folder = temporary(t);
  fs.writeFileSync(path.join(folder, 'file'), 'text');
  fs.mkdirSync(path.join(folder, 'folder'));
  fs.writeFileSync(path.join(folder, 'folder', 'inner'), 'text');
  fs.symlinkSync('file', path.join(folder, 'link'));
  return folder;
}

/** Runs code up to the gate; answers what was seen, with OUT for the folder outside. */
async function seen(t, code, options = {}) {
  const out = outside(t);
  const env = { OUT: out, ...options.env };
  const text = options.module ? code : `${BEGIN}(async () => { ${code}; listen(); })();`;
  const app = new Agent(t, text, { ...options, env });
  const said = await app.message('gate');
  return said.seen.map(({ kind, what }) => `${kind} ${what.replace(out, 'OUT')}`);
}

const RECORDED = {
  'readFile in its three forms': [
    `fs.readFileSync(out('file'));
     await new Promise((resolve) => fs.readFile(out('folder/inner'), resolve));
     await fsp.readFile(out('link'))`,
    ['read OUT/file', 'read OUT/folder/inner', 'read OUT/link'],
  ],
  'a file that is named by a URL or a buffer': [
    "fs.readFileSync(require('node:url').pathToFileURL(out('file'))); fs.readFileSync(Buffer.from(out('link')))",
    ['read OUT/file', 'read OUT/link'],
  ],
  'a relative path': [
    "fs.readFileSync(path.relative(process.cwd(), out('file')))",
    ['read OUT/file'],
  ],
  'the same twice': ["fs.readFileSync(out('file')); fs.readFileSync(out('file'))", ['read OUT/file']],
  folders: [
    `fs.readdirSync(OUT); fs.opendirSync(out('folder')).closeSync();
     for await (const _ of await fsp.opendir(OUT));`,
    ['read OUT', 'read OUT/folder'],
  ],
  'open, by its flags': [
    `fs.openSync(out('file'), 'r'); await fsp.open(out('link'), 'r+');
     await new Promise((resolve) => fs.open(out('a'), 'w', resolve));
     fs.openSync(out('b'), fs.constants.O_WRONLY | fs.constants.O_CREAT);
     await new Promise((resolve) => fs.open(out('folder/inner'), resolve))`,
    ['read OUT/file', 'write OUT/link', 'write OUT/a', 'write OUT/b', 'read OUT/folder/inner'],
  ],
  streams: [
    `const { once } = require('node:events');
     await once(fs.createReadStream(out('file')).resume(), 'end');
     await once(fs.createWriteStream(out('new')).end('x'), 'finish')`,
    ['read OUT/file', 'write OUT/new'],
  ],
  'writing and appending': [
    `fs.writeFileSync(out('a'), ''); await fsp.appendFile(out('b'), '');
     await new Promise((resolve) => fs.writeFile(out('c'), '', resolve)); fs.truncateSync(out('file'))`,
    ['write OUT/a', 'write OUT/b', 'write OUT/c', 'write OUT/file'],
  ],
  'copying, renaming, linking': [
    `fs.copyFileSync(out('file'), out('copy')); await fsp.cp(out('folder'), out('copies'), { recursive: true });
     fs.renameSync(out('copy'), out('renamed')); fs.symlinkSync('file', out('other')); fs.linkSync(out('file'), out('hard'))`,
    [
      'read OUT/file',
      'write OUT/copy',
      'read OUT/folder',
      'write OUT/copies',
      'write OUT/renamed',
      'write OUT/other',
      'write OUT/hard',
    ],
    // Some versions copy by way of the functions that are watched, and look first.
    (it) => !/OUT\/(?:copies|folder)\//.test(it) && it !== 'read OUT/copies',
  ],
  'making and removing': [
    `fs.mkdirSync(out('made')); fs.mkdtempSync(out('temporary-')); fs.rmdirSync(out('made'));
     await fsp.rm(out('folder'), { recursive: true }); fs.unlinkSync(out('link')); fs.chmodSync(out('file'), 0o600)`,
    ['write OUT/made', 'write OUT/temporary-', 'write OUT/folder', 'write OUT/link', 'write OUT/file'],
    (it) => !it.startsWith('read') && !it.includes('OUT/folder/'),
  ],
  'named imports of an ES module': [
    `import { readFileSync, writeFileSync } from 'node:fs'; import { readdir } from 'node:fs/promises';
     import { createServer } from 'node:net'; import { execFileSync } from 'node:child_process';
     const { OUT } = process.env;
     readFileSync(OUT + '/file'); writeFileSync(OUT + '/new', ''); await readdir(OUT); execFileSync('true');
     createServer().listen(8888);`,
    ['read OUT/file', 'write OUT/new', 'read OUT', 'start true'],
    undefined,
    true,
  ],
  'promisified functions': [
    "await util.promisify(fs.readFile)(out('file')); await util.promisify(fs.writeFile)(out('new'), '')",
    ['read OUT/file', 'write OUT/new'],
  ],
  'shared memory': ["fs.writeFileSync('/dev/shm/preload-test', ''); fs.rmSync('/dev/shm/preload-test')", ['write /dev/shm/preload-test']],
  'what the application itself reads as JavaScript': ["fs.writeFileSync(out('a.js'), ''); fs.readFileSync(out('a.js'))", ['write OUT/a.js', 'read OUT/a.js']],
  'a link in the release that leads outside': [
    "fs.symlinkSync(out('file'), path.join(__dirname, 'inside')); fs.readFileSync(path.join(__dirname, 'inside'))",
    [/^read .*\/inside$/],
  ],
  'what is not there, and may be once the old process has ended': [
    `try { fs.readFileSync(out('a')); } catch {} await fsp.readFile(out('b')).catch(() => {});
     fs.existsSync(out('c')); fs.statSync(out('d'), { throwIfNoEntry: false }); await fsp.access(out('none/e')).catch(() => {});
     await new Promise((resolve) => fs.stat(out('f'), resolve)); await util.promisify(fs.exists)(out('g'))`,
    ['read OUT/a', 'read OUT/b', 'read OUT/c', 'read OUT/d', 'read OUT/none/e', 'read OUT/f', 'read OUT/g'],
  ],
  'what comes after hundreds of others': [
    `fs.mkdirSync(out('words')); for (let n = 0; n < 500; n += 1) fs.existsSync(out('words/' + n));
     fs.readFileSync(out('file'))`,
    ['write OUT/words', 'read OUT/file'],
    (it) => !it.startsWith('read OUT/words/'),
  ],
};

const NOT_RECORDED = {
  'files of the release': `fs.writeFileSync(path.join(__dirname, 'new'), ''); fs.readFileSync(__filename); fs.readdirSync('.');
    fs.readFileSync(OUT + '/' + path.relative(OUT, __dirname) + '/new')`,
  'the release by way of a link': `const link = path.join(__dirname, 'link'); fs.symlinkSync('.', link); fs.readFileSync(path.join(link, 'main.cjs'))`,
  'modules in node_modules': "require('express'); require('fastify'); require('ws'); await import('ws')",
  'metadata': `fs.statSync(out('file')); fs.existsSync(out('file')); fs.accessSync(OUT); await fsp.lstat(OUT);
    fs.realpathSync(out('link')); fs.readlinkSync(out('link'))`,
  'what changes nothing': "fs.mkdirSync(out('folder'), { recursive: true })",
  'what is looked for in every folder above the release': `let folder = __dirname, above;
    while ((above = path.dirname(folder)) !== folder) { folder = above; fs.existsSync(path.join(folder, '.none')); }
    try { fs.readFileSync('/.none'); } catch {}`,
  'the system': `fs.readFileSync('/etc/hostname'); fs.readFileSync('/proc/self/status'); fs.readdirSync('/usr');
    fs.readdirSync('/sys'); fs.writeFileSync('/dev/null', ''); fs.readdirSync('/lib')`,
  'the compile cache': "fs.mkdirSync(process.env.NODE_COMPILE_CACHE, { recursive: true }); fs.readdirSync(process.env.NODE_COMPILE_CACHE)",
  'stdin, stdout and descriptors': "process.stdout.write('x'); process.stdin.resume(); fs.fstatSync(1); fs.writeSync(1, 'y')",
  'temporary state of the process': "require('node:os').cpus(); require('node:crypto').randomBytes(8); await require('node:dns/promises').lookup('localhost')",
};

for (const [name, [code, expected, unless = () => true, isModule]] of Object.entries(RECORDED)) {
  test(`recorded: ${name}`, async (t) => {
    const acts = (await seen(t, code, { module: isModule })).filter(unless);
    if (expected[0] instanceof RegExp) assert.match(acts[0], expected[0]);
    else assert.deepEqual(acts, expected);
  });
}

for (const [name, code] of Object.entries(NOT_RECORDED)) {
  test(`not recorded: ${name}`, async (t) => {
    const env = { NODE_COMPILE_CACHE: path.join(temporary(t), 'cache') };
    assert.deepEqual(await seen(t, code, { env }), []);
  });
}

test('not recorded: modules outside that Node loads itself', async (t) => {
  const lib = temporary(t);
  fs.writeFileSync(path.join(lib, 'a.cjs'), 'exports.a = 1');
  fs.writeFileSync(path.join(lib, 'b.mjs'), 'export const b = 1');
  fs.writeFileSync(path.join(lib, 'd.js'), 'exports.d = 1');
  const code = `const L = process.env.LIB; require(L + '/a.cjs'); await import(L + '/b.mjs'); await import(L + '/d.js')`;
  assert.deepEqual(await seen(t, code, { env: { LIB: lib } }), []);
});

test('recorded: a JSON file, also where Node loads it, for it may be data', async (t) => {
  const state = temporary(t);
  for (const name of ['a.json', 'b.json']) fs.writeFileSync(path.join(state, name), '{}');
  const code = `const { STATE } = process.env; require(STATE + '/a.json');
    await import(STATE + '/b.json', { with: { type: 'json' } })`;
  const acts = await seen(t, code, { env: { STATE: state } });
  assert.deepEqual(acts, [`read ${state}/a.json`, `read ${state}/b.json`]);
});

/** Loads everything by the name that every release has in turn, while it leads to the old one. */
const LOADED = {
  'a CommonJS module': ["require(ROOT + '/a.js')", 'a.js'],
  'an ES module': ["await import(ROOT + '/b.mjs')", 'b.mjs'],
  'a JSON file': ["require(ROOT + '/c.json')", 'c.json'],
  'a native module': ["try { require(ROOT + '/d.node') } catch {}", 'd.node'],
  'a module in node_modules': ["require(ROOT + '/lib/node_modules/e/index.js')", 'lib/node_modules/e/index.js'],
  'a native module in node_modules': ["try { process.dlopen({ exports: {} }, ROOT + '/lib/node_modules/e/f.node') } catch {}", 'lib/node_modules/e/f.node'],
};

for (const [name, [code, file]] of Object.entries(LOADED)) {
  test(`recorded: ${name} of the release of before, by the name that both have`, async (t) => {
    const releases = temporary(t);
    const old = release(t, { [file]: file.endsWith('json') ? '{}' : '' }, 'old', releases);
    const main = `${BEGIN} const { ROOT } = process.env; (async () => { ${code}; listen(); })();`;
    const folder = release(t, { 'main.cjs': main }, 'new', releases);
    const root = path.join(temporary(t), 'gateway');
    fs.symlinkSync(old, root);
    const app = new Agent(t, '', { folder, env: { ROOT: root, OUT: '' } });
    const acts = (await app.message('gate')).seen.map(({ kind, what }) => `${kind} ${fs.realpathSync(what)}`);
    assert.deepEqual(acts, [`read ${path.join(old, file)}`]);
  });
}

test('the release of before, under the name that both have, is outside', async (t) => {
  const old = release(t, { 'data.txt': 'old' });
  const root = path.join(temporary(t), 'gateway');
  fs.symlinkSync(old, root);
  const acts = await seen(t, "fs.readFileSync(process.env.ROOT + '/data.txt')", { env: { ROOT: root } });
  assert.deepEqual(acts, [`read ${root}/data.txt`]);
});

/** As much as the supervisor takes in one message, and a good deal of it. */
const [MOST, MUCH] = [1024 * 1024, 256 * 1024];

test('where more was done than can be told, that is told, and comes last', async (t) => {
  const app = new Agent(
    t,
    `const fs = require('node:fs');
    for (let n = 0; n < 3_000; n += 1) fs.existsSync('/none/' + '\u0001"é'.repeat(40) + n);
    fs.existsSync('/none/' + 'long'.repeat(1_000_000));
    require('node:net').createServer().listen(8888);`,
  );
  const said = await app.message('gate');
  const size = Buffer.byteLength(JSON.stringify(said));
  assert.ok(size < MOST && size > MUCH, `${size} bytes`);
  const count = said.seen.length - 1;
  assert.deepEqual(said.seen.at(-1), { kind: 'more', what: String(count) });
  assert.ok(said.seen.slice(0, -1).every(({ kind, what }) => kind === 'read' && what.startsWith('/none/')));
});

test('what is done again and again is no more than once', async (t) => {
  const acts = await seen(t, "for (let n = 0; n < 3_000; n += 1) fs.existsSync('/none/' + 'a'.repeat(200))");
  assert.deepEqual(acts, [`read /none/${'a'.repeat(200)}`]);
});

test('an environment file that is loaded', { skip: !process.loadEnvFile }, async (t) => {
  assert.deepEqual(await seen(t, "process.loadEnvFile(out('file'))"), ['read OUT/file']);
});

test('descriptors that were opened by other ways', { skip: !module.builtinModules.includes('node:sqlite') && !module.isBuiltin('node:sqlite') }, async (t) => {
  const acts = await seen(
    t,
    "globalThis.db = new (require('node:sqlite').DatabaseSync)(out('data.db')); db.exec('create table t (a)')",
  );
  assert.deepEqual(acts, ['write OUT/data.db']);
});

test('a connection that was opened by other ways', async (t) => {
  const server = net.createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address();
  const acts = await seen(
    t,
    `const { TCP, TCPConnectWrap, constants } = process.binding('tcp_wrap');
    globalThis.handle = new TCP(constants.SOCKET);
    await new Promise((resolve) => {
      const request = new TCPConnectWrap();
      request.oncomplete = resolve;
      handle.connect(request, '127.0.0.1', ${port});
    })`,
  );
  server.close();
  assert.deepEqual(acts, [`connect 127.0.0.1:${port}`]);
});

test('connections', async (t) => {
  const server = net.createServer((socket) => {
    socket.on('error', () => {}).end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const unix = net.createServer((socket) => socket.end()).listen(path.join(temporary(t), 's'));
  await once(unix, 'listening');
  t.after(() => [server, unix].forEach((it) => it.close()));
  const { port } = server.address();
  const acts = await seen(
    t,
    `const { once } = require('node:events'), http = require('node:http'), tls = require('node:tls');
    const all = [
      net.connect(${port}, '127.0.0.1'), net.connect({ port: ${port} }), net.connect(${JSON.stringify(unix.address())}),
      tls.connect({ port: ${port}, host: '::ffff:127.0.0.1' }), http.get('http://127.0.0.2:${port}/'),
    ];
    for (const it of all) it.on('error', () => {});
    await fetch('http://127.0.0.3:${port}/').catch(() => {});`,
  );
  assert.deepEqual(acts, [
    `connect 127.0.0.1:${port}`,
    `connect localhost:${port}`,
    `connect ${unix.address()}`,
    `connect ::ffff:127.0.0.1:${port}`,
    `connect 127.0.0.2:${port}`,
    `connect 127.0.0.3:${port}`,
  ]);
});

test('children and Workers', async (t) => {
  const acts = await seen(
    t,
    `const c = require('node:child_process'); const { Worker } = require('node:worker_threads');
    c.spawnSync('/usr/bin/env'); c.execFileSync('true'); c.execSync('echo a'); c.execSync('exit 0; ls');
    c.spawn('cat', { stdio: 'ignore' }); c.exec('uname -a'); c.execFile('id', () => {});
    c.spawn('date -u', { shell: true }); c.fork('child.js').on('error', () => {});
    class Derived extends Worker {}
    const derived = new Derived(path.join(__dirname, 'worker.js'));
    if (!(derived instanceof Worker && derived instanceof Derived)) throw new Error('no Worker');
    new Worker('0', { eval: true });`,
    { files: { 'child.js': '', 'worker.js': '' } },
  );
  assert.deepEqual(
    acts,
    ['env', 'true', 'echo', 'sh', 'cat', 'uname', 'id', 'date', 'node', 'worker:worker.js', 'worker:eval'].map(
      (it) => `start ${it}`,
    ),
  );
});

test('functions that are watched look and work as they did, and are put back at the gate', async (t) => {
  const app = new Agent(
    t,
    `const before = require('node:fs').readFileSync;
    const fs = require('node:fs'), util = require('node:util'), assert = require('node:assert/strict');
    const shape = () => JSON.stringify([fs, fs.promises].map((owner) => Object.keys(owner).sort().map((name) => {
      const it = owner[name];
      return typeof it === 'function' && [name, it.name, it.length, Reflect.ownKeys(it).map(String)];
    })));
    assert.equal(typeof util.promisify(fs.exists), 'function');
    const graceful = require('graceful-fs');
    graceful.gracefulify(require('node:fs'));
    const text = graceful.readFileSync(__filename, 'utf8');
    const shapes = [shape()];
    Promise.all([
      util.promisify(graceful.readFile)(__filename, 'utf8'),
      util.promisify(fs.exists)(__filename),
      util.promisify(fs.readFile)(__filename, 'utf8'),
      fs.promises.readFile(__filename, 'utf8'),
      fs.promises.open(__filename).then((file) => file.close()),
    ]).then((read) => {
      assert.deepEqual(read.slice(0, 4), [text, true, text, text]);
      const kept = fs.writeFileSync;
      require('node:net').createServer().listen(8888);
      assert.notEqual(fs.readFileSync, before, 'the original is back');
      kept(process.env.OUT + '/kept', '');
      assert.equal(kept.name, 'writeFileSync');
      assert.equal(require('node:worker_threads').Worker.toString().startsWith('class'), true);
      shapes.push(shape());
      assert.equal(shapes[0], shapes[1]);
      console.log('ok');
    });`,
    { env: { OUT: temporary(t) } },
  );
  assert.deepEqual((await app.message('gate')).seen, []);
  app.go();
  await app.prints(/ok/);
});
