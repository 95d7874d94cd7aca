// Starts the bundle as a release and waits until it says that it listens.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const BUNDLE = join(fileURLToPath(import.meta.url), '../../dist/packages/app-gateway/main.js');
export const ADDRESS = '127.0.0.1:8888';

/** One running gateway: its log lines so far, its end, and a way to stop it. */
export async function startGateway({ buildInfo = '', env = {} } = {}) {
  const release = await mkdtemp(join(tmpdir(), 'gateway-test-'));
  await mkdir(join(release, 'app-gateway'));
  await copyFile(BUNDLE, join(release, 'app-gateway/main.js'));
  if (buildInfo) await writeFile(join(release, 'BUILD_INFO.txt'), buildInfo);

  const child = spawn(process.execPath, ['main.js'], {
    cwd: join(release, 'app-gateway'),
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit').then(([code, signal]) => ({ code, signal }));
  const lines = [];
  const output = createInterface({ input: child.stdout });
  output.on('line', (line) => lines.push(JSON.parse(line)));
  await Promise.race([once(output, 'line'), ended]);

  return {
    child,
    lines,
    ended,
    get: (path, options) => fetch(`http://${ADDRESS}${path}`, options),
    async stop() {
      child.kill('SIGKILL');
      await ended;
      await rm(release, { recursive: true, force: true });
    },
  };
}
