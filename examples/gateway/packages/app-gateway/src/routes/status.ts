import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Identity } from '../app';
import type { Telemetry } from '../telemetry';

/** How long `/slow` may take, in milliseconds. */
const SLOWEST_MS = 60_000;

/** Who answers, whether it is well, its numbers, and a request that takes as long as it is told. */
export function statusRoutes(app: FastifyInstance, identity: Identity, telemetry: Telemetry): void {
  app.get('/', async () => identity);
  app.get('/health', async () => ({ status: 'ok' }));
  app.get('/metrics', async () => telemetry.collect());

  const schema = {
    querystring: {
      type: 'object',
      properties: { ms: { type: 'integer', minimum: 0, maximum: SLOWEST_MS, default: 1_000 } },
    },
  } as const;
  app.get<{ Querystring: { ms: number } }>('/slow', { schema }, async (request, reply) => {
    const { ms } = request.query;
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    try {
      await sleep(ms, undefined, { signal: gone.signal });
    } catch {
      return reply; // The client left; there is nobody to answer.
    }
    return { slept_ms: ms, ...identity };
  });
}
