import { createApplication } from './app';
import { readBuild } from './build-info';
import { readConfig } from './config';
import { drain } from './drain';
import { log } from './log';
import { GATEWAY_VERSION } from './version';

async function main(): Promise<void> {
  const config = readConfig(process.env);
  const identity = {
    version: GATEWAY_VERSION,
    build: readBuild(__dirname),
    pid: process.pid,
    gateway: config.GATEWAY_ID ?? null,
  };
  const application = createApplication(config, identity);

  const stop = (signal: NodeJS.Signals): void => {
    log.info({ ...identity, signal, websockets: application.sockets.open }, 'gateway stops');
    drain(application).then((drained) => {
      if (!drained) log.warn('requests that were still in flight are cut');
      process.exit(0);
    }, fail);
  };
  // Once each: a second signal of the same kind ends the process at once.
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);

  // Fixed on purpose: whoever runs this service gives it its own network or its own socket.
  await application.http.listen({ port: 8888, host: '127.0.0.1' });
  const milliseconds = Math.round(process.uptime() * 1_000);
  log.info({ ...identity, node: process.version, milliseconds }, 'gateway listens on 127.0.0.1:8888');
}

function fail(error: unknown): never {
  log.fatal({ err: error }, 'gateway failed');
  process.exit(1);
}

main().catch(fail);
