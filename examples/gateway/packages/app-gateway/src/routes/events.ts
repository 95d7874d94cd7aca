import type { FastifyInstance } from 'fastify';
import type { RoomEvent, Rooms } from '../collab/rooms';

/** How much may wait for a slow reader before it is sent away, in bytes. */
const MOST_WAITING = 1 << 20;

/** `GET /events`: what happens in the rooms, as server-sent events, until the service stops. */
export function eventRoutes(app: FastifyInstance, rooms: Rooms): void {
  app.get('/events', (_request, reply) => {
    reply.hijack();
    const { raw } = reply;
    const tell = (event: RoomEvent): void => {
      raw.write(`data: ${JSON.stringify(event)}\n\n`);
      if (raw.writableLength > MOST_WAITING) raw.destroy();
    };
    const end = (): void => void raw.end();
    raw.once('close', () => {
      rooms.events.off('event', tell);
      rooms.events.off('end', end);
    });
    raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    raw.write(': open\n\n');
    rooms.events.on('event', tell);
    rooms.events.once('end', end);
  });
}
