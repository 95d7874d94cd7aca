import { Kysely, PostgresDialect, sql, type Generated } from 'kysely';
import pg from 'pg';

interface Database {
  room_snapshot: { room: string; state: Buffer; saved_at: Generated<Date> };
}

/** Where documents survive the process. */
export interface Snapshots {
  load(room: string): Promise<Uint8Array | null>;
  save(room: string, state: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** Snapshots in PostgreSQL; connects with the first room, not at the start. */
export function postgresSnapshots(connectionString: string): Snapshots {
  const pool = new pg.Pool({ connectionString, max: 4, connectionTimeoutMillis: 3_000 });
  const database = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
  let prepared: Promise<void> | null = null;

  /** Makes the table once; a failed attempt is made again with the next call. */
  const prepare = (): Promise<void> =>
    (prepared ??= database.schema
      .createTable('room_snapshot')
      .ifNotExists()
      .addColumn('room', 'text', (column) => column.primaryKey())
      .addColumn('state', 'bytea', (column) => column.notNull())
      .addColumn('saved_at', 'timestamptz', (column) => column.notNull().defaultTo(sql`now()`))
      .execute()
      .catch((error: unknown) => {
        prepared = null;
        throw error;
      }));

  return {
    async load(room) {
      await prepare();
      const query = database.selectFrom('room_snapshot').select('state').where('room', '=', room);
      return (await query.executeTakeFirst())?.state ?? null;
    },
    async save(room, bytes) {
      await prepare();
      const state = Buffer.from(bytes);
      await database
        .insertInto('room_snapshot')
        .values({ room, state })
        .onConflict((conflict) => conflict.column('room').doUpdateSet({ state, saved_at: sql`now()` }))
        .execute();
    },
    close: () => database.destroy(),
  };
}
