// Prints an answer while it is generated: node stream.mjs MODEL

import { Runtime } from "../../bindings/node/index.js"; // "mullama" in a program of your own

const messages = [
  { role: "system", content: "You are a helpful assistant." },
  { role: "user", content: "What is the capital of France?" },
];

const model = await new Runtime().load(process.argv[2]);
let last;
for await (const chunk of await model.chat(messages, { options: { temperature: 0 } })) {
  if (chunk.text) {
    process.stdout.write(chunk.text + "|");
  }
  last = chunk.json ?? last;
}
console.log(`\n${last.eval_count} tokens`);
model.close();
