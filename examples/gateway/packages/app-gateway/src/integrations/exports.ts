import { S3 } from '@aws-sdk/client-s3';
import type { FastifyInstance, preHandlerHookHandler } from 'fastify';
import * as Y from 'yjs';
import type { Rooms } from '../collab/rooms';
import type { Config } from '../config';

/** `POST /rooms/{room}/export`: the open document, as one Yjs update, into the bucket. */
export function exportRoutes(app: FastifyInstance, config: Config, rooms: Rooms, preHandler: preHandlerHookHandler): void {
  const bucket = config.EXPORT_BUCKET;
  let storage: S3 | undefined;

  app.post<{ Params: { room: string } }>('/rooms/:room/export', { preHandler }, async (request, reply) => {
    if (!bucket) return reply.code(503).send({ error: 'EXPORT_BUCKET is not set' });
    const room = rooms.find(request.params.room);
    if (!room) return reply.code(404).send({ error: 'no such room is open' });
    await room.loaded;
    storage ??= new S3({});
    const body = Y.encodeStateAsUpdate(room.document);
    const key = `rooms/${room.name}/${Date.now()}.yjs`;
    await storage.putObject({ Bucket: bucket, Key: key, Body: body, ContentType: 'application/octet-stream' });
    return { bucket, key, bytes: body.byteLength };
  });
}
