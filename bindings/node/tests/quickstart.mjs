// What README.md begins with, for a model that needs no file. It is run in a folder that has the
// package installed, and prints what it was told.

import { Runtime } from "mullama";

const runtime = new Runtime({ echo: true });
const model = await runtime.load("echo");
const messages = [{ role: "user", content: "Hello!" }];

for await (const chunk of await model.chat(messages)) {
  process.stdout.write(chunk.text);
}
process.stdout.write("\n");
