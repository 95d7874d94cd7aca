import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The name in the first `Build:` line of a BUILD_INFO.txt, or null where there is none. */
export function parseBuild(text: string): string | null {
  return /^Build:[ \t]*(\S+)/m.exec(text)?.[1] ?? null;
}

/**
 * The build that this process was started from.
 *
 * Read once: the file lies beside the bundle's folder, in the release that the
 * bundle was started from, and a release never changes.
 */
export function readBuild(bundleFolder: string): string | null {
  try {
    return parseBuild(readFileSync(join(bundleFolder, '..', 'BUILD_INFO.txt'), 'utf8'));
  } catch {
    return null; // Started from the workspace, not from a release.
  }
}
