/**
 * The version that `/` answers with.
 *
 * The bundle keeps this name: it holds `GATEWAY_VERSION = "…"` exactly once
 * (the build checks it), so a script can make "another build" by replacing
 * that one string, without a build.
 */
export const GATEWAY_VERSION = '1.0.0';
