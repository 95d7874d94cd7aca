// Builds every case of the corpus: node build.mjs FOLDER. `cases.json` in it says what each
// bundle holds: nothing of React (`clean`), an import of it (`external`), one that it can do
// without (`guarded`), or React itself (`inlined`).

import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import commonjs from "@rollup/plugin-commonjs";
import resolve from "@rollup/plugin-node-resolve";
import swc from "@swc/core";
import esbuild from "esbuild";
import { rollup } from "rollup";
import typescript from "typescript";
import webpack from "webpack";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(process.cwd(), process.argv[2]);
const cases = [];

/** What a bundle holds when React stays outside, and when it is taken in. */
const SOURCES = {
  "clean.js": ["clean", "clean"],
  "direct.js": ["external", "inlined"],
  "side-effect.js": ["external", "inlined"],
  "required.cjs": ["external", "inlined"],
  "dynamic.js": ["external", "inlined"],
  "optional.cjs": ["guarded", "inlined"],
  "deferred.js": ["guarded", "inlined"],
  "types.ts": ["clean", "clean"],
  "unsaid-types.ts": ["clean", "clean"],
  "barrel.ts": ["external", "inlined"],
  "view.tsx": ["external", "inlined"],
  "passes-on.js": ["external", "inlined"],
  "namesake.js": ["clean", "clean"],
  "quoted/main.js": ["clean", "clean"],
  "create-require.js": ["external", "external"],
  "through.js": ["external", "inlined"],
  "browser-entry.js": ["external", null],
};

function add(name, bundle, expect) {
  cases.push({ name, bundle: relative(out, bundle), expect });
}

const REACT = ["react", "react/*", "@corpus/collab/frontend"];

async function byEsbuild(source, [outside, inside]) {
  const modules = source === "dynamic.js" || source === "deferred.js" || source === "create-require.js";
  const variants = [
    { format: modules ? "esm" : "cjs", external: REACT, sourcemap: true },
    { format: "esm", external: REACT, minify: true },
    { format: modules ? "esm" : "cjs", sourcemap: true, minify: true },
    { format: "esm", metafile: true },
    { format: modules ? "esm" : "cjs" },
    { format: "esm", sourcemap: "inline", minify: true },
  ];
  for (const variant of variants) {
    const expect = variant.external ? outside : inside;
    if (!expect) continue;
    const name = `esbuild ${source} ${Object.entries(variant).map(([key, value]) => (key === "external" ? "external" : `${key}=${value}`)).join(" ")}`;
    const bundle = join(out, `${cases.length}`, "main.js");
    const built = await esbuild.build({
      entryPoints: [join(here, "src", source)],
      outfile: bundle,
      bundle: true,
      platform: "node",
      jsx: "automatic",
      logLevel: "silent",
      absWorkingDir: here,
      ...variant,
    });
    if (built.metafile) await writeFile(join(dirname(bundle), "meta.json"), JSON.stringify(built.metafile));
    add(name, bundle, expect);
  }
}

function webpackRun(config) {
  return new Promise((done, failed) => {
    webpack(config, (error, stats) => {
      if (error) return failed(error);
      if (stats.hasErrors()) return failed(new Error(stats.toString({ all: false, errors: true })));
      done(stats);
    });
  });
}

async function byWebpack(source, [outside, inside]) {
  if (/\.tsx?$/.test(source)) return;
  const variants = [
    { mode: "development", devtool: "source-map", outside: true },
    { mode: "production", devtool: "source-map", outside: false },
    { mode: "development", devtool: false, outside: false },
    { mode: "production", devtool: false, outside: false, stats: true },
  ];
  for (const variant of variants) {
    const expect = variant.outside ? outside : inside;
    if (!expect) continue;
    const folder = join(out, `${cases.length}`);
    const stats = await webpackRun({
      mode: variant.mode,
      devtool: variant.devtool,
      context: here,
      entry: join(here, "src", source),
      target: "node20",
      output: { path: folder, filename: "main.js" },
      externals: variant.outside ? [({ request }, done) => (/^react(\/|$)|\/frontend$/.test(request) ? done(null, `commonjs ${request}`) : done())] : [],
      module: { parser: { javascript: { createRequire: false, dynamicImportMode: "eager" } } },
    });
    if (variant.stats) {
      const told = stats.toJson({ all: false, modules: true, reasons: true, nestedModules: true, modulesSpace: Infinity, nestedModulesSpace: Infinity, groupModulesByType: false });
      await writeFile(join(folder, "stats.json"), JSON.stringify(told));
    }
    const how = Object.entries(variant).map(([key, value]) => `${key}=${value}`).join(" ");
    add(`webpack ${source} ${how}`, join(folder, "main.js"), expect);
  }
}

async function byRollup(source, [outside, inside]) {
  if (/\.tsx?$/.test(source)) return;
  for (const [format, external, sourcemap] of [["es", true, true], ["cjs", true, false], ["es", false, true], ["es", false, false]]) {
    const expect = external ? outside : inside;
    const topLevelAwait = source === "dynamic.js" || source === "deferred.js";
    if (!expect || (format === "cjs" && topLevelAwait)) continue;
    const bundle = await rollup({
      input: join(here, "src", source),
      external: external ? (id) => /^react(\/|$)|\/frontend$|^node:/.test(id) : [/^node:/],
      plugins: [resolve({ preferBuiltins: true }), commonjs({ extensions: [".js", ".cjs"] })],
      onwarn() {},
    });
    const file = join(out, `${cases.length}`, "main.js");
    await bundle.write({ file, format, sourcemap, inlineDynamicImports: true });
    add(`rollup ${source} ${format} external=${external} sourcemap=${sourcemap}`, file, expect);
  }
}

/** One file at a time, as `tsc` and `swc` do: nothing is ever taken in. */
async function byCompilers(source, [outside]) {
  const text = await readFile(join(here, "src", source), "utf8");
  const write = async (name, code, map) => {
    const file = join(out, `${cases.length}`, "main.js");
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, code);
    if (map) await writeFile(`${file}.map`, map);
    add(`${name} ${source}`, file, outside);
  };
  // It imports files of its own, which import React: in this file there is none.
  if (source === "barrel.ts" || source === "through.js") return;
  const kinds = typescript.ModuleKind;
  for (const [name, module] of [["tsc commonjs", kinds.CommonJS], ["tsc esm", kinds.ESNext]]) {
    if (module === kinds.CommonJS && /await load|createRequire|await version/.test(text)) continue;
    const { outputText, sourceMapText } = typescript.transpileModule(text, {
      fileName: source,
      compilerOptions: { module, target: typescript.ScriptTarget.ES2022, jsx: typescript.JsxEmit.ReactJSX, sourceMap: true, allowJs: true },
    });
    await write(name, outputText, sourceMapText);
  }
  if (/await load|createRequire|await version/.test(text)) return;
  const { code } = await swc.transform(text, {
    filename: source,
    swcrc: false,
    isModule: "unknown",
    module: { type: "commonjs" },
    jsc: {
      target: "es2022",
      parser: source.endsWith("x") ? { syntax: "typescript", tsx: true } : { syntax: "typescript" },
      transform: { react: { runtime: "automatic" } },
    },
  });
  await write("swc commonjs", code);
}

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
for (const [source, expected] of Object.entries(SOURCES)) {
  for (const tool of [byEsbuild, byWebpack, byRollup, byCompilers]) {
    try {
      await tool(source, expected);
    } catch (error) {
      throw new Error(`${tool.name} ${source}: ${error.message}`, { cause: error });
    }
  }
}
await writeFile(join(out, "cases.json"), JSON.stringify(cases, null, 1));
console.log(`${cases.length} bundles`);
