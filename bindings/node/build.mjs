// Builds the addon with the C++ compiler alone.
//
//   node build.mjs build     for a checkout, into build/
//   node build.mjs install   the same, unless the package has one for this platform already
//   node build.mjs pack      copies what a package needs from outside this folder; and, if
//                            MULLAMA_BUNDLE names a folder with the libraries, those and the addon
//   node build.mjs clean     removes that again

import { spawnSync } from "node:child_process";
import {
  copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..");
const output = join(here, "build", "mullama.node");
const prebuilt = join(here, "prebuilt", `${process.platform}-${process.arch}`);
const sources = ["addon.cc", "channel.cc", "index.cc", "library.cc", "stream.cc"];
const headers = ["addon.h", "channel.h", "library.h", "stream.h"];

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

function compile() {
  const inputs = [...sources, ...headers].map((name) => join(here, "src", name));
  inputs.push(fileURLToPath(import.meta.url), join(includeFolders()[0], "mullama.h"));
  const newest = Math.max(...inputs.map((file) => statSync(file).mtimeMs));
  if (existsSync(output) && statSync(output).mtimeMs >= newest) {
    return;
  }
  mkdirSync(dirname(output), { recursive: true });
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

function clean() {
  for (const name of ["include", "LICENSE", "prebuilt"]) {
    rmSync(join(here, name), { recursive: true, force: true });
  }
}

function pack() {
  clean();
  mkdirSync(join(here, "include"), { recursive: true });
  copyFileSync(join(root, "include", "mullama.h"), join(here, "include", "mullama.h"));
  copyFileSync(join(root, "LICENSE"), join(here, "LICENSE"));
  const bundle = process.env.MULLAMA_BUNDLE;
  if (!bundle) {
    return;
  }
  compile();
  mkdirSync(prebuilt, { recursive: true });
  copyFileSync(output, join(prebuilt, "mullama.node"));
  const libraries = readdirSync(bundle).filter((name) => /^lib.*\.so/.test(name));
  for (const name of libraries) {
    copyFileSync(join(bundle, name), join(prebuilt, name));
  }
  if (!libraries.includes("libmullama.so")) {
    fail(`${bundle}, which MULLAMA_BUNDLE names, has no libmullama.so`);
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
    compile();
    break;
  case "install":
    if (!existsSync(join(prebuilt, "mullama.node"))) {
      compile();
    }
    break;
  case "pack":
    checkVersion();
    pack();
    break;
  case "clean":
    clean();
    break;
  default:
    fail("usage: node build.mjs build|install|pack|clean");
}
