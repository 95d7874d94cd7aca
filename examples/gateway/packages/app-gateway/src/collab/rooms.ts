import { EventEmitter } from 'node:events';
import * as Y from 'yjs';
import { Awareness } from 'y-protocols/awareness';
import type { Snapshots } from '../integrations/snapshots';
import { log } from '../log';

/** One document and who looks at it; it lives as long as it has members. */
export interface Room {
  readonly name: string;
  readonly document: Y.Doc;
  readonly awareness: Awareness;
  /** Settles when the stored snapshot, if there is one, is in the document. */
  readonly loaded: Promise<void>;
  members: number;
}

export interface RoomEvent {
  readonly kind: 'opened' | 'joined' | 'left' | 'closed';
  readonly room: string;
  readonly members: number;
}

/** How many rooms may be open at once: a bound on what strangers can make this process hold. */
const MOST_ROOMS = 1024;

/** Tells `event` for each RoomEvent, and `end` when the service stops. */
type RoomEvents = EventEmitter<{ event: [RoomEvent]; end: [] }>;

export class Rooms {
  readonly events: RoomEvents = new EventEmitter();
  readonly #rooms = new Map<string, Room>();
  /** Snapshots on their way to the store, by room: who opens the room again waits for its own. */
  readonly #saving = new Map<string, Promise<void>>();
  readonly #snapshots: Snapshots | null;

  constructor(snapshots: Snapshots | null) {
    this.#snapshots = snapshots;
    this.events.setMaxListeners(0); // One a reader of `/events`, however many there are.
  }

  find(name: string): Room | undefined {
    return this.#rooms.get(name);
  }

  list(): Room[] {
    return [...this.#rooms.values()];
  }

  /** Enters a room, opening it for its first member; null when there are too many. */
  join(name: string): Room | null {
    const room = this.#rooms.get(name) ?? this.#open(name);
    if (!room) return null;
    room.members += 1;
    this.#tell('joined', room);
    return room;
  }

  /** Leaves a room; its last member closes it. */
  leave(room: Room): void {
    room.members -= 1;
    this.#tell('left', room);
    if (room.members === 0) this.#close(room);
  }

  /** Closes every room and waits until its snapshot is stored. */
  async closeAll(): Promise<void> {
    for (const room of this.list()) this.#close(room);
    await Promise.all(this.#saving.values());
  }

  #open(name: string): Room | null {
    if (this.#rooms.size >= MOST_ROOMS) return null;
    const document = new Y.Doc();
    const awareness = new Awareness(document);
    awareness.setLocalState(null);
    const loaded = this.#load(name, document);
    const room: Room = { name, document, awareness, loaded, members: 0 };
    this.#rooms.set(name, room);
    this.#tell('opened', room);
    return room;
  }

  #close(room: Room): void {
    if (this.#rooms.get(room.name) !== room) return; // Closed before its members left.
    this.#rooms.delete(room.name);
    this.#save(room.name, Y.encodeStateAsUpdate(room.document));
    room.awareness.destroy();
    room.document.destroy();
    this.#tell('closed', room);
  }

  #save(name: string, state: Uint8Array): void {
    if (!this.#snapshots) return;
    const saving = this.#snapshots
      .save(name, state)
      .catch((error: unknown) => log.error({ err: error, room: name }, 'snapshot not saved'))
      .finally(() => {
        if (this.#saving.get(name) === saving) this.#saving.delete(name);
      });
    this.#saving.set(name, saving);
  }

  async #load(name: string, document: Y.Doc): Promise<void> {
    try {
      await this.#saving.get(name);
      const snapshot = await this.#snapshots?.load(name);
      if (snapshot) Y.applyUpdate(document, snapshot);
    } catch (error) {
      log.error({ err: error, room: name }, 'snapshot not loaded');
    }
  }

  #tell(kind: RoomEvent['kind'], room: Room): void {
    this.events.emit('event', { kind, room: room.name, members: room.members });
  }
}
