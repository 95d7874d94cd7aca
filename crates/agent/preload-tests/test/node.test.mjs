// The tests, and the applications that they start, run on the Node that was asked for.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Agent } from './agent.mjs';

const MAJOR = Number(process.versions.node.split('.')[0]);

test('the Node of the tests is the one that was asked for, and is supported', () => {
  assert.ok([20, 22, 24].includes(MAJOR), process.version);
  assert.equal(process.env.LOCKGATE_TEST_NODE ?? String(MAJOR), String(MAJOR));
});

test('the application runs on the same Node as the tests', async (t) => {
  const app = await new Agent(
    t,
    "require('node:http').createServer((_, response) => response.end(process.version)).listen(8888);",
  ).serve();
  assert.equal((await app.get()).text, process.version);
});
