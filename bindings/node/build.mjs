// Builds the addon with the C++ compiler alone.
//
//   node build.mjs build     for a checkout, into build/
//   node build.mjs install   the same, unless the package has one for this platform already
//   node build.mjs pack      what a package needs from outside this folder; and, if MULLAMA_BUNDLE
//                            names a folder with the libraries, those and the addon for this platform

import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..");
const prebuilt = join(here, "prebuilt", `${process.platform}-${process.arch}`);
const sources = ["addon.cc", "channel.cc", "library.cc", "stream.cc"];
const headers = ["channel.h", "library.h", "stream.h"];

function fail(message) {
  console.error(`mullama: ${message}`);
  process.exit(1);
}

// A package has its own copy of mullama.h; in a checkout there is one for all languages.
function includeFolders() {
  const require = createRequire(import.meta.url);
  const own = join(here, "include");
  return [
    existsSync(join(root, "include", "mullama.h")) ? join(root, "include") : own,
    dirname(require.resolve("node-addon-api/package.json")),
    join(dirname(require.resolve("node-api-headers/package.json")), "include"),
  ];
}

function compile(folder) {
  const output = join(folder, "mullama.node");
  const inputs = [...sources, ...headers].map((name) => join(here, "src", name));
  inputs.push(fileURLToPath(import.meta.url), join(includeFolders()[0], "mullama.h"));
  const newest = Math.max(...inputs.map((file) => statSync(file).mtimeMs));
  if (existsSync(output) && statSync(output).mtimeMs >= newest) {
    return;
  }
  mkdirSync(folder, { recursive: true });
  const compiler = process.env.CXX || "g++";
  const args = [
    ...["-std=c++17", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra"],
    ...["-DNAPI_VERSION=8", "-DNAPI_DISABLE_CPP_EXCEPTIONS"],
    ...includeFolders().flatMap((include) => ["-isystem", include]),
    ...sources.map((name) => join(here, "src", name)),
    ...["-o", output, "-pthread", "-ldl"],
    // Node.js unloads the addons of a worker that ends, but their threads may still run.
    "-Wl,-z,nodelete",
  ];
  const { status, error } = spawnSync(compiler, args, { stdio: "inherit" });
  if (error || status !== 0) {
    fail(`the addon could not be built with ${compiler}${error ? `: ${error.message}` : ""}; ` +
      "install a C++17 compiler, or name one in CXX");
  }
}

function pack() {
  mkdirSync(join(here, "include"), { recursive: true });
  copyFileSync(join(root, "include", "mullama.h"), join(here, "include", "mullama.h"));
  copyFileSync(join(root, "LICENSE"), join(here, "LICENSE"));
  rmSync(join(here, "prebuilt"), { recursive: true, force: true });
  const bundle = process.env.MULLAMA_BUNDLE;
  if (!bundle) {
    return;
  }
  compile(prebuilt);
  for (const name of ["libmullama.so", "libmullama-native.so"]) {
    if (!existsSync(join(bundle, name))) {
      fail(`${bundle}, which MULLAMA_BUNDLE names, has no ${name}`);
    }
    copyFileSync(join(bundle, name), join(prebuilt, name));
  }
}

function checkVersion() {
  const file = join(root, "VERSION");
  const { version } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
  if (existsSync(file) && readFileSync(file, "utf8").trim() !== version) {
    fail(`package.json has version ${version}, but VERSION differs`);
  }
}

switch (process.argv[2]) {
  case "build":
    compile(join(here, "build"));
    break;
  case "install":
    if (!existsSync(join(prebuilt, "mullama.node"))) {
      compile(join(here, "build"));
    }
    break;
  case "pack":
    checkVersion();
    pack();
    break;
  default:
    fail("usage: node build.mjs build|install|pack");
}
