// Answers prompts with node-llama-cpp for `mullama bench streams`.
//
// usage: node -e TEXT -- PACKAGE MODEL THREADS SLOTS CONTEXT
//
// TEXT is this file's, and PACKAGE the file to import. The first line of standard output names the
// engine. Then each line of standard input is a wave of prompts, and for each a line is printed: the
// answers, with the time of every part of their text. The prompts of a wave are answered at once,
// each in a sequence of its own, which node-llama-cpp batches by itself.
const { createInterface } = require("node:readline");

async function main() {
  const [file, modelPath, ...numbers] = process.argv.slice(-5);
  const [threads, sequences, contextSize] = numbers.map(Number);
  const { getLlama, LlamaLogLevel } = await import(file);
  const llama = await getLlama({
    gpu: false, build: "never", maxThreads: threads, logLevel: LlamaLogLevel.error,
  });
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({ contextSize, sequences, threads });
  const { release } = llama.llamaCppRelease;
  console.log(JSON.stringify({ engine: `node-llama-cpp, llama.cpp ${release}` }));
  for await (const line of createInterface({ input: process.stdin })) {
    const wave = JSON.parse(line);
    const start = performance.now();
    const one = (prompt) => answer(model, context, wave, prompt, start);
    const answers = await Promise.all(wave.prompts.map(one));
    console.log(JSON.stringify({ seconds: since(start), answers }));
  }
  await llama.dispose();
}

function since(start) {
  return (performance.now() - start) / 1000;
}

async function answer(model, context, wave, prompt, start) {
  const sequence = context.getSequence();
  const tokens = model.tokenize(prompt, false);
  if (model.tokens.shouldPrependBosToken) tokens.unshift(model.tokens.bos);
  const result = { start_s: since(start), times_s: [], prompt_tokens: tokens.length };
  const made = [];
  let text = "";
  const options = {
    temperature: wave.temperature, topK: wave.top_k, topP: wave.top_p || 1, yieldEogToken: true,
  };
  for await (const token of sequence.evaluate(tokens, options)) {
    text += model.detokenize([token], false, made);
    made.push(token);
    result.times_s.push(since(start));
    if (made.length === wave.tokens) break;
  }
  sequence.dispose();
  return { ...result, end_s: since(start), tokens: made.length };
}

main();
