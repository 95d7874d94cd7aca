import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type RawData, type WebSocket } from 'ws';
import { servePeer } from './collab/peer';
import type { Rooms } from './collab/rooms';
import { log } from './log';

/** The largest message a client may send, in bytes. */
const MOST_BYTES = 1 << 20;

export interface Sockets {
  /** Refuses new ones and asks the open ones to come back: the service restarts. */
  close(): void;
  /** Cuts those that did not go by themselves. */
  terminate(): void;
  readonly open: number;
}

/** Serves `/ws` (echo) and `/collab/{room}` (documents) on the application's own HTTP server. */
export function serveSockets(server: Server, rooms: Rooms): Sockets {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MOST_BYTES });
  let closing = false;

  server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    stream.on('error', () => stream.destroy());
    const serve = closing ? null : route(request.url ?? '/', rooms);
    if (!serve) {
      refuse(stream, closing ? '503 Service Unavailable' : '404 Not Found');
      return;
    }
    sockets.handleUpgrade(request, stream, head, (socket) => {
      socket.on('error', (error) => log.debug({ err: error }, 'websocket failed'));
      serve(socket);
    });
  });

  return {
    close: () => {
      closing = true;
      for (const socket of sockets.clients) socket.close(1012, 'service restart');
    },
    terminate: () => {
      for (const socket of sockets.clients) socket.terminate();
    },
    get open() {
      return sockets.clients.size;
    },
  };
}

function route(url: string, rooms: Rooms): ((socket: WebSocket) => void) | null {
  const path = url.split('?', 1)[0] ?? '';
  if (path === '/ws') return echo;
  const room = /^\/collab(?:\/([\w.-]{1,128}))?$/.exec(path);
  if (!room) return null;
  return (socket) => void servePeer(socket, rooms, room[1] ?? 'default');
}

function echo(socket: WebSocket): void {
  socket.on('message', (data: RawData, isBinary: boolean) => socket.send(data, { binary: isBinary }));
}

function refuse(stream: Duplex, status: string): void {
  stream.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
