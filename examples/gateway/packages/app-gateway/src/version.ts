/**
 * The version that `/` answers with.
 *
 * The bundle keeps the name and holds the assignment exactly once (the build
 * checks it), so a script can make another build by editing that one string.
 */
export const GATEWAY_VERSION = '1.0.0';
