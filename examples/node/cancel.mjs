// Ends an answer early: node cancel.mjs MODEL

import { Runtime } from "../../bindings/node/index.js"; // "mullama" in a program of your own

const model = await new Runtime().load(process.argv[2]);
const options = { temperature: 0, num_predict: 400 };
const stream = await model.generate("Once upon a time", { options });
let parts = 0;
let last;
for await (const chunk of stream) {
  if (++parts === 5) {
    stream.cancel();
    console.log(`cancelled after ${parts} parts`);
  }
  last = chunk.json ?? last;
}
console.log(last.done_reason);
model.close();
