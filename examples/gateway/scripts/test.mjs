// Runs test/*.test.mjs against the built bundle.
//
// The service listens on 127.0.0.1:8888 and nowhere else. Where the system allows it,
// the tests get a network of their own, in which that port is always free.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(fileURLToPath(import.meta.url), '../..');
const bundle = join(root, 'dist/packages/app-gateway/main.js');
if (!existsSync(bundle)) {
  console.error(`error: ${bundle} is missing\n  hint: npm run build`);
  process.exit(1);
}

const tests = readdirSync(join(root, 'test')).filter((name) => name.endsWith('.test.mjs'));
const run = [process.execPath, '--test', ...tests.map((name) => join(root, 'test', name))];
const own = ['unshare', '--user', '--map-root-user', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'];
const isolated = spawnSync(own[0], [...own.slice(1), 'true']).status === 0;
const [program, ...args] = isolated ? [...own, ...run] : run;
process.exit(spawnSync(program, args, { stdio: 'inherit' }).status ?? 1);
