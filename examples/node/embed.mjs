// Finds the document that is nearest to a question: node embed.mjs MODEL

import { Runtime } from "../../bindings/node/index.js"; // "mullama" in a program of your own

const documents = [
  "Paris is the capital of France.", "Bananas are rich in potassium.", "A llama is a camelid.",
];

const model = await new Runtime().load(process.argv[2]);
const [question] = await model.embed("What is the capital of France?");
const embeddings = await model.embed(documents);
model.close();

// Their length is 1, so that the sum of products is the cosine.
const near = ({ vector }) => vector.reduce((sum, x, i) => sum + x * question.vector[i], 0);
const scores = embeddings.map(near);
console.log(documents[scores.indexOf(Math.max(...scores))]);
