import { destination, pino } from 'pino';

/** One JSON line an event on stdout, written at once: the last line before the exit counts most. */
export const log = pino(
  { base: null, timestamp: () => `,"time":"${new Date().toISOString()}"` },
  destination({ dest: 1, sync: true }),
);
