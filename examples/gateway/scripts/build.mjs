// Bundles the service: packages/app-gateway/src → dist/packages/app-gateway/{main.js,main.js.map,src/}.
//
//   node scripts/build.mjs [--version X.Y.Z] [--watch]
//
// The bundle appears by rename and after all that belongs to it: whoever watches
// or packs the folder sees the old bundle or the new one, never half of one.
import { build, context } from 'esbuild';
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const SOURCE = join(ROOT, 'packages/app-gateway/src');
const OUTPUT = join(ROOT, 'dist/packages/app-gateway');
const VERSION_LITERAL = /(?<=\bGATEWAY_VERSION = )(['"])([^'"]*)\1/g;

function readOptions() {
  try {
    const { values } = parseArgs({
      options: { version: { type: 'string' }, watch: { type: 'boolean', default: false } },
    });
    if (values.version !== undefined && !/^[\w.+-]{1,64}$/.test(values.version)) {
      throw new Error(`\`${values.version}\` is not a version`);
    }
    return values;
  } catch (error) {
    console.error(`error: ${error.message}\n  hint: node scripts/build.mjs [--version X.Y.Z] [--watch]`);
    process.exit(2);
  }
}

const options = readOptions();

/** The text of version.ts, with the version that was asked for. */
async function versionSource() {
  const text = await readFile(join(SOURCE, 'version.ts'), 'utf8');
  return options.version === undefined ? text : text.replace(VERSION_LITERAL, `'${options.version}'`);
}

const setVersion = {
  name: 'set-version',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]app-gateway[\\/]src[\\/]version\.ts$/ }, async () => ({
      contents: await versionSource(),
      loader: 'ts',
    }));
  },
};

const install = {
  name: 'install',
  setup({ onStart, onEnd }) {
    let started = 0;
    onStart(() => void (started = performance.now()));
    onEnd(async (result) => {
      if (result.errors.length > 0) return; // The last good bundle stays.
      const version = findVersion(result.outputFiles);
      await installOutput(result.outputFiles);
      const sizes = result.outputFiles
        .map((file) => `${basename(file.path)} ${(file.contents.length / 1e6).toFixed(2)} MB`)
        .sort();
      const seconds = ((performance.now() - started) / 1000).toFixed(2);
      console.log(`built app-gateway ${version} in ${seconds} s: ${sizes.join(', ')}`);
    });
  },
};

/** The version in the bundle; scripts rely on finding it exactly once. */
function findVersion(files) {
  const bundle = files.find((file) => file.path.endsWith('main.js'));
  const found = [...bundle.text.matchAll(VERSION_LITERAL)];
  if (found.length !== 1) {
    throw new Error(`the bundle holds \`GATEWAY_VERSION = "…"\` ${found.length} times instead of once`);
  }
  return found[0][2];
}

async function installOutput(files) {
  await mkdir(OUTPUT, { recursive: true });
  const fresh = await mkdtemp(join(ROOT, 'dist/.fresh-'));
  try {
    await cp(SOURCE, join(fresh, 'src'), { recursive: true });
    await writeFile(join(fresh, 'src/version.ts'), await versionSource());
    for (const file of files) await writeFile(join(fresh, basename(file.path)), file.contents);

    await rm(join(OUTPUT, 'src'), { recursive: true, force: true });
    await rename(join(fresh, 'src'), join(OUTPUT, 'src'));
    await rename(join(fresh, 'main.js.map'), join(OUTPUT, 'main.js.map'));
    await rename(join(fresh, 'main.js'), join(OUTPUT, 'main.js'));
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

const settings = {
  absWorkingDir: ROOT,
  entryPoints: [join(SOURCE, 'main.ts')],
  outfile: join(OUTPUT, 'main.js'),
  bundle: true,
  write: false,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  sourcemap: 'linked',
  sourcesContent: true,
  // Optional accelerators with native code: their users go without where they are missing.
  external: ['bufferutil', 'utf-8-validate', 'pg-native'],
  logLevel: 'warning',
  plugins: [setVersion, install],
};

if (options.watch) {
  await (await context(settings)).watch();
} else {
  await build(settings).catch(() => process.exit(1)); // esbuild has said what is wrong.
}
