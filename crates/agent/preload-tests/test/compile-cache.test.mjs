// What Node has compiled is written while the process runs, and may be broken.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import module from 'node:module';
import path from 'node:path';
import test from 'node:test';
import { Agent, temporary } from './agent.mjs';
import { HTTP } from './apps.mjs';

const skip = module.flushCompileCache === undefined;

/** The files of the cache. */
function entries(folder) {
  return fs
    .readdirSync(folder, { recursive: true })
    .map((name) => path.join(folder, name))
    // Node writes beside, and renames.
    .filter((file) => /^[0-9a-f]+$/.test(path.basename(file)));
}

/** Waits until something is in the cache, with the process still there. */
async function written(app, folder) {
  await app.until('a cache', () => entries(folder).length > 0);
  assert.equal(app.process.exitCode, null);
}

test('the cache is written while the process runs', { skip }, async (t) => {
  const cache = temporary(t);
  const env = { NODE_COMPILE_CACHE: cache };
  const app = await new Agent(t, HTTP, { env }).serve();
  assert.equal((await app.get()).text, 'hello');
  await written(app, cache);
});

test('the cache is written also where nobody asks', { skip }, async (t) => {
  const cache = temporary(t);
  const app = await new Agent(t, HTTP, { env: { NODE_COMPILE_CACHE: cache } }).serve();
  await written(app, cache);
});

for (const [name, tear] of [
  ['cut off', (file) => fs.truncateSync(file, Math.floor(fs.statSync(file).size / 2))],
  ['emptied', (file) => fs.truncateSync(file, 0)],
  ['overwritten', (file) => fs.writeFileSync(file, Buffer.alloc(fs.statSync(file).size, 0xa5))],
  [
    'damaged in the middle',
    (file) => {
      const bytes = fs.readFileSync(file);
      bytes.fill(0xa5, bytes.length >> 1, (bytes.length >> 1) + 16);
      fs.writeFileSync(file, bytes);
    },
  ],
]) {
  test(`a cache whose files are ${name} does no harm`, { skip }, async (t) => {
    const cache = temporary(t);
    const env = { NODE_COMPILE_CACHE: cache };
    const first = await new Agent(t, HTTP, { env }).serve();
    await first.get();
    await written(first, cache);
    await first.terminate();
    entries(cache).forEach(tear);
    const { folder } = first;
    const second = await new Agent(t, HTTP, { env, folder }).serve();
    assert.equal((await second.get()).text, 'hello');
    assert.equal(second.stderr, '');
  });
}
