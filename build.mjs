/*
 * Builds the bundles: dist/extension.js with dist/languageClient.js, dist/helper.js with dist/engine.js and koffi's
 * native file beside it, dist/diskMap.js, and the tests.
 *
 *   node build.mjs [--tests]
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { build } from "esbuild";

const root = import.meta.dirname;
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const require = createRequire(import.meta.url);

/** @type {import("esbuild").BuildOptions} */
const common = {
  absWorkingDir: root,
  bundle: true,
  platform: "node",
  // What VS Code 1.96 runs extensions with, and the oldest Node that the helper is run by.
  target: "node20",
  format: "cjs",
  define: { DISKLOOM_VERSION: JSON.stringify(version) },
  logLevel: "warning",
};

/**
 * koffi finds its native file by the name of a package. In the bundle that becomes a file beside it: the one for glibc
 * or, where that can't be loaded, the one for musl.
 *
 * @type {import("esbuild").Plugin}
 */
const koffiBesideTheBundle = {
  name: "koffi-beside-the-bundle",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^koffi$/ }, () => ({ path: require.resolve("koffi") }));
    onResolve({ filter: /^@koromix\/koffi-/ }, ({ path }) => ({ path, namespace: "koffi-native" }));
    onLoad({ filter: /.*/, namespace: "koffi-native" }, ({ path }) => {
      const platform = path.slice("@koromix/koffi-".length);
      const load = (/** @type {string} */ libc) =>
        `module.exports = require("./native/${platform}-${libc}/koffi.node");`;
      return {
        contents: platform.startsWith("linux-")
          ? `try { ${load("glibc")} } catch { ${load("musl")} }`
          : `throw new Error("Diskloom runs on Linux only");`,
      };
    });
  },
};

/**
 * vscode-jsonrpc makes names of pipes with node:crypto, which we never ask it for: loading that takes longer than the
 * library itself.
 *
 * @type {import("esbuild").Plugin}
 */
const cryptoWhenAsked = {
  name: "crypto-when-asked",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^crypto$/ }, ({ importer }) =>
      importer.includes("/node_modules/vscode-jsonrpc/") ? { path: "crypto", namespace: "when-asked" } : undefined,
    );
    onLoad({ filter: /.*/, namespace: "when-asked" }, () => ({
      contents: ["randomUUID", "randomBytes"]
        .map((name) => `exports.${name} = (...args) => require("node:crypto").${name}(...args);`)
        .join("\n"),
    }));
  },
};

/**
 * Each file of a bundle that imports all of an external module has a copy of its own made of it, name by name. VS Code's
 * has some five hundred, which was two thirds of the time that loading the extension took.
 *
 * @type {import("esbuild").Plugin}
 */
const vscodeOnce = {
  name: "vscode-once",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^vscode$/ }, ({ namespace, path }) =>
      namespace === "once" ? { path, external: true } : { path, namespace: "once" },
    );
    onLoad({ filter: /.*/, namespace: "once" }, () => ({ contents: `export * from "vscode";` }));
  },
};

/** Ships the native files of the platforms whose packages npm has installed. */
function copyNative() {
  const packages = join(root, "node_modules/@koromix");
  for (const name of readdirSync(packages)) {
    const platform = name.slice("koffi-".length);
    const arch = platform.slice("linux-".length);
    for (const [folder, libc] of [
      [`linux_${arch}`, "glibc"],
      [`musl_${arch}`, "musl"],
    ]) {
      const target = join(root, "dist/native", `${platform}-${libc}`);
      mkdirSync(target, { recursive: true });
      cpSync(join(packages, name, String(folder), "koffi.node"), join(target, "koffi.node"));
    }
  }
}

async function buildProduct() {
  await Promise.all([
    build({
      ...common,
      entryPoints: ["extension/extension.ts"],
      outdir: "dist",
      external: ["./languageClient"],
      minify: true,
      plugins: [vscodeOnce],
    }),
    build({
      ...common,
      entryPoints: ["extension/helper/languageClient.ts"],
      outdir: "dist",
      external: ["vscode"],
      minify: true,
    }),
    // What sudo and polkit are asked by, and what installs the helper, each in a process of its own.
    build({
      ...common,
      entryPoints: ["askpass", "install", "polkit"].map((name) => `extension/helper/programs/${name}.ts`),
      outdir: "dist",
      minify: true,
    }),
    build({
      ...common,
      entryPoints: { helper: "helper/main.ts" },
      outdir: "dist",
      minifyWhitespace: true,
      minifySyntax: true,
      external: ["./engine"],
      // A require() instead, as within a bundle: Node's own import() takes longer.
      supported: { "dynamic-import": false },
    }),
    build({
      ...common,
      entryPoints: ["helper/engine.ts"],
      outdir: "dist",
      // Errors in the log are to name our functions. Keeping the names of functions that were renamed takes 3 ms at
      // each start, as esbuild then sets them one by one.
      minifyWhitespace: true,
      minifySyntax: true,
      external: ["./native/*"],
      plugins: [koffiBesideTheBundle, cryptoWhenAsked],
    }),
    // Runs in VS Code's web views.
    build({
      ...common,
      entryPoints: { diskMap: "extension/views/page/main.ts" },
      outdir: "dist",
      alias: { vscode: "./extension/views/page/vscode.ts" },
      platform: "browser",
      format: "iife",
      target: "es2023",
      minify: true,
    }),
  ]);
  copyNative();
}

/** Each test file becomes a bundle of its own, at the same place under dist/. */
async function buildTests() {
  const files = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" }).filter(
    (name) =>
      /\.test\.ts$|^vscode\/(suite\/index|become-root)\.ts$|^bench\/(bench|inGuest|inVsCode|loopDelay)\.ts$/.test(
        name,
      ) && !name.includes("node_modules"),
  );
  // Those that VS Code loads, or that bring a window of their own; the others get the words alone.
  const hasVsCode = (/** @type {string} */ name) => /^vscode\/suite\/|inVsCode|-commands\.test\.ts$/.test(name);
  const tests = {
    ...common,
    outbase: "test",
    outdir: "dist/test",
    sourcemap: /** @type {const} */ ("inline"),
    packages: /** @type {const} */ ("external"),
  };
  const places = (/** @type {string[]} */ names) => names.map((name) => join("test", name));
  await Promise.all([
    build({ ...tests, entryPoints: places(files.filter(hasVsCode)), external: ["vscode"] }),
    build({
      ...tests,
      entryPoints: places(files.filter((name) => !hasVsCode(name))),
      alias: { vscode: "./test/vscode-words.ts" },
    }),
  ]);
}

rmSync(join(root, "dist"), { recursive: true, force: true });
await buildProduct();
if (process.argv.includes("--tests")) {
  await buildTests();
}
