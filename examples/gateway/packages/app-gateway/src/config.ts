import * as z from 'zod';

/** Absent and empty mean the same: a shell exports empty variables freely. */
const optional = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (value === '' ? undefined : value), schema.optional());

const Environment = z.object({
  ENV_NAME: optional(z.string()),
  GATEWAY_ID: optional(z.string()),
  GANYMEDE_FQDN: optional(z.string()),
  DATABASE_URL: optional(z.url({ protocol: /^postgres(ql)?$/ })),
  EXPORT_BUCKET: optional(z.string()),
  CONTAINER_REGION: optional(z.string()),
  GOOGLE_APPLICATION_CREDENTIALS: optional(z.string()),
});

/** What the environment says, read once at the start. */
export type Config = z.infer<typeof Environment>;

/** Reads the environment; the error names every malformed variable at once, and no value. */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const result = Environment.safeParse(env);
  if (result.success) return result.data;
  const names = new Set(result.error.issues.map((issue) => issue.path.join('.')));
  throw new Error(`malformed environment variables: ${[...names].join(', ')}`);
}
