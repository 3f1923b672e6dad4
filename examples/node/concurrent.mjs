// Answers ten requests at once, which the model computes together: node concurrent.mjs MODEL

import { Runtime } from "../../bindings/node/index.js"; // "mullama" in a program of your own

const messages = [
  { role: "system", content: "You are a helpful assistant." },
  { role: "user", content: "What is the capital of France?" },
];

const model = await new Runtime().load(process.argv[2], { ctx_size: 2048, slots: 10 });

async function chat() {
  const stream = await model.chat(messages, { options: { temperature: 0 } });
  return stream.text();
}

const answers = await Promise.all(Array.from({ length: 10 }, chat));
const same = answers.every((answer) => answer === answers[0]);
console.log(`${answers.length} answers, all the same: ${same}`);
model.close();
