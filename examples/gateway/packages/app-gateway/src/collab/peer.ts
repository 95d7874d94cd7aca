import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import type { RawData, WebSocket } from 'ws';
import { applyAwarenessUpdate, encodeAwarenessUpdate, removeAwarenessStates } from 'y-protocols/awareness';
import { readSyncMessage, writeSyncStep1, writeUpdate } from 'y-protocols/sync';
import type { Room, Rooms } from './rooms';

/** The two kinds of message, numbered as the y-websocket client numbers them. */
const SYNC = 0;
const AWARENESS = 1;

interface AwarenessChange {
  readonly added: number[];
  readonly updated: number[];
  readonly removed: number[];
}

/** The bytes of a message, however the socket hands them over. */
function bytesOf(data: RawData): Uint8Array {
  if (Array.isArray(data)) return Buffer.concat(data);
  return data instanceof ArrayBuffer ? new Uint8Array(data) : data;
}

/** Keeps one client and its room's document the same, until the client goes. */
export async function servePeer(socket: WebSocket, rooms: Rooms, name: string): Promise<void> {
  const room = rooms.join(name);
  if (!room) {
    socket.close(1013, 'too many rooms');
    return;
  }
  const cursors = new Set<number>();
  const send = (encoder: encoding.Encoder): void => {
    if (socket.readyState === socket.OPEN) socket.send(encoding.toUint8Array(encoder));
  };

  const onUpdate = (update: Uint8Array, origin: unknown): void => {
    if (origin === socket) return;
    send(message(SYNC, (encoder) => writeUpdate(encoder, update)));
  };
  const onAwareness = ({ added, updated, removed }: AwarenessChange, origin: unknown): void => {
    const changed = [...added, ...updated, ...removed];
    if (origin === socket) {
      for (const client of added) cursors.add(client);
      for (const client of removed) cursors.delete(client);
      return;
    }
    send(awarenessMessage(room, changed));
  };

  // What arrives while the snapshot is loading waits in line behind it.
  socket.on('message', (data: RawData) => {
    void room.loaded.then(() => receive(socket, room, bytesOf(data), send));
  });
  socket.on('close', () => {
    room.document.off('update', onUpdate);
    room.awareness.off('update', onAwareness);
    removeAwarenessStates(room.awareness, [...cursors], null);
    rooms.leave(room);
  });

  await room.loaded;
  if (socket.readyState !== socket.OPEN) return;
  room.document.on('update', onUpdate);
  room.awareness.on('update', onAwareness);
  send(message(SYNC, (encoder) => writeSyncStep1(encoder, room.document)));
  const present = [...room.awareness.getStates().keys()];
  if (present.length > 0) send(awarenessMessage(room, present));
}

function receive(
  socket: WebSocket,
  room: Room,
  data: Uint8Array,
  send: (encoder: encoding.Encoder) => void,
): void {
  if (socket.readyState !== socket.OPEN) return;
  try {
    const decoder = decoding.createDecoder(data);
    const kind = decoding.readVarUint(decoder);
    if (kind === SYNC) {
      const answer = message(SYNC, (encoder) => {
        readSyncMessage(decoder, encoder, room.document, socket);
      });
      if (encoding.length(answer) > 1) send(answer);
    } else if (kind === AWARENESS) {
      applyAwarenessUpdate(room.awareness, decoding.readVarUint8Array(decoder), socket);
    }
  } catch {
    socket.close(1007, 'not a message of this protocol');
  }
}

function message(kind: number, write: (encoder: encoding.Encoder) => void): encoding.Encoder {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, kind);
  write(encoder);
  return encoder;
}

function awarenessMessage(room: Room, clients: number[]): encoding.Encoder {
  return message(AWARENESS, (encoder) =>
    encoding.writeVarUint8Array(encoder, encodeAwarenessUpdate(room.awareness, clients)),
  );
}
