import { fastify, type FastifyInstance } from 'fastify';
import { authorizer } from './authorize';
import { Rooms } from './collab/rooms';
import type { Config } from './config';
import { closeAfterAnswer } from './drain';
import { containerRoutes } from './integrations/containers';
import { driveRoutes } from './integrations/drive';
import { exportRoutes } from './integrations/exports';
import { postgresSnapshots } from './integrations/snapshots';
import { log } from './log';
import { eventRoutes } from './routes/events';
import { graphqlRoutes } from './routes/graphql';
import { statusRoutes } from './routes/status';
import { serveSockets, type Sockets } from './sockets';
import { startTelemetry, type Telemetry } from './telemetry';

/** Who this process is: what `/` answers. */
export interface Identity {
  readonly version: string;
  readonly build: string | null;
  readonly pid: number;
  readonly gateway: string | null;
}

export interface Application {
  readonly http: FastifyInstance;
  readonly sockets: Sockets;
  readonly rooms: Rooms;
  /** Closes what the application holds open besides its clients. */
  release(): Promise<void>;
}

/** Puts the service together; nothing listens and nothing is connected yet. */
export function createApplication(config: Config, identity: Identity): Application {
  const http = fastify({
    // While it stops, a request on a connection that is still open is answered, not refused.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    bodyLimit: 1 << 20,
  });
  const telemetry = startTelemetry(identity.gateway);
  const snapshots = config.DATABASE_URL ? postgresSnapshots(config.DATABASE_URL) : null;
  const rooms = new Rooms(snapshots);
  const authorize = authorizer(config);

  closeAfterAnswer(http);
  observe(http, telemetry);
  statusRoutes(http, identity, telemetry);
  eventRoutes(http, rooms);
  graphqlRoutes(http, identity, rooms);
  exportRoutes(http, config, rooms, authorize);
  driveRoutes(http, config, rooms, authorize);
  containerRoutes(http, config, authorize);

  const sockets = serveSockets(http.server, rooms);
  return { http, sockets, rooms, release: async () => snapshots?.close() };
}

/** Measures every answer and logs those that failed. */
function observe(http: FastifyInstance, telemetry: Telemetry): void {
  http.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown';
    telemetry.answered(route, reply.statusCode, reply.elapsedTime);
  });
  http.addHook('onError', async (request, reply, error) => {
    if (reply.statusCode >= 500) log.error({ err: error, route: request.routeOptions.url }, 'request failed');
  });
}
