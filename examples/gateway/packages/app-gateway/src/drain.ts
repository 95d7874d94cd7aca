import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Application } from './app';

/** How long requests in flight may take once the service stops, in milliseconds. */
const DRAIN_MS = 5_000;

/** How long storing what is open may take after that, in milliseconds. */
const RELEASE_MS = 1_000;

/**
 * Stops accepting, sends WebSockets away, waits for the requests in flight.
 *
 * Answers whether all of them were finished; those that were not are cut.
 */
export async function drain({ http, sockets, rooms, release }: Application): Promise<boolean> {
  const finished = http.close().then(() => true);
  sockets.close();
  rooms.events.emit('end');
  const drained = await Promise.race([finished, sleep(DRAIN_MS, false)]);
  sockets.terminate();
  http.server.closeAllConnections();
  await Promise.race([rooms.closeAll().then(release), sleep(RELEASE_MS)]);
  return drained;
}

/**
 * Lets no connection outlive its last answer once the service stops.
 *
 * Closing a server closes the connections that are idle at that moment; one that was
 * busy would be kept alive after its answer, and the drain would wait for nobody.
 */
export function closeAfterAnswer(http: FastifyInstance): void {
  let closing = false;
  http.addHook('preClose', async () => {
    closing = true;
  });
  http.addHook('onSend', async (_request, reply) => {
    if (closing) reply.header('connection', 'close');
  });
  http.server.on('request', (_request, response) => {
    response.once('close', () => {
      if (closing) setImmediate(() => http.server.closeIdleConnections());
    });
  });
}
