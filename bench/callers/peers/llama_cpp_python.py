"""Answers prompts with llama-cpp-python for `mullama bench streams`.

usage: python llama_cpp_python.py MODEL THREADS SLOTS CONTEXT

The first line of standard output names the engine. Then each line of standard input is a wave of
prompts, and for each a line is printed: the answers, with the time of every part of their text. A
Llama object has one sequence and serves one caller at a time, so a wave is answered one prompt
after the other.
"""

import json
import sys
import time

import llama_cpp


def answer(llama, wave, prompt, start):
    tokens = llama.tokenize(prompt.encode(), add_bos=True, special=False)
    result = {"start_s": time.perf_counter() - start, "times_s": [], "prompt_tokens": len(tokens)}
    text, made = b"", 0
    generated = llama.generate(
        tokens, top_k=wave["top_k"] or 40, top_p=wave["top_p"] or 1.0, min_p=0.0,
        temp=wave["temperature"], repeat_penalty=1.0,
    )
    for token in generated:
        made += 1
        text += llama.detokenize([token])
        result["times_s"].append(time.perf_counter() - start)
        if made == wave["tokens"]:
            break
    generated.close()
    return result | {"end_s": time.perf_counter() - start, "tokens": made}


def main():
    model, threads, slots, context = sys.argv[1], *map(int, sys.argv[2:5])
    llama = llama_cpp.Llama(
        model, n_ctx=context, n_threads=threads, n_threads_batch=threads, n_batch=2048,
        verbose=False,
    )
    print(json.dumps({"engine": "llama-cpp-python " + llama_cpp.__version__}), flush=True)
    for line in sys.stdin:
        wave = json.loads(line)
        start = time.perf_counter()
        answers = [answer(llama, wave, prompt, start) for prompt in wave["prompts"]]
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "answers": answers}), flush=True)


main()
