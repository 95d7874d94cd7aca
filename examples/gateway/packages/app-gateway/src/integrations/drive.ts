import { auth, drive, type drive_v3 } from '@googleapis/drive';
import type { FastifyInstance, preHandlerHookHandler } from 'fastify';
import type { Rooms } from '../collab/rooms';
import type { Config } from '../config';

/** `POST /rooms/{room}/import?file=ID`: a text document from Google Drive to the end of an open room's text. */
export function driveRoutes(app: FastifyInstance, config: Config, rooms: Rooms, preHandler: preHandlerHookHandler): void {
  let files: drive_v3.Drive | undefined;
  const schema = {
    querystring: {
      type: 'object',
      required: ['file'],
      properties: { file: { type: 'string', pattern: '^[A-Za-z0-9_-]{10,100}$' } },
    },
  } as const;

  app.post<{ Params: { room: string }; Querystring: { file: string } }>(
    '/rooms/:room/import',
    { preHandler, schema },
    async (request, reply) => {
      if (!config.GOOGLE_APPLICATION_CREDENTIALS) {
        return reply.code(503).send({ error: 'GOOGLE_APPLICATION_CREDENTIALS is not set' });
      }
      const room = rooms.find(request.params.room);
      if (!room) return reply.code(404).send({ error: 'no such room is open' });
      files ??= drive({
        version: 'v3',
        auth: new auth.GoogleAuth({ scopes: ['https://www.googleapis.com/auth/drive.readonly'] }),
      });
      const exported = await files.files.export(
        { fileId: request.query.file, mimeType: 'text/plain' },
        { responseType: 'text' },
      );
      const imported = String(exported.data);
      await room.loaded;
      const text = room.document.getText('text');
      text.insert(text.length, imported);
      return { room: room.name, characters: imported.length };
    },
  );
}
