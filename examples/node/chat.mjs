// Answers a question: node chat.mjs MODEL

import { Runtime } from "../../bindings/node/index.js"; // "mullama" in a program of your own

const messages = [
  { role: "system", content: "You are a helpful assistant." },
  { role: "user", content: "What is the capital of France?" },
];

const model = await new Runtime().load(process.argv[2]);
const stream = await model.chat(messages, { options: { temperature: 0 } });
console.log(await stream.text());
model.close();
