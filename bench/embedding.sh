#!/bin/sh
# Measures embeddings of MiniLM in F16 and Q8_0 beside llama.cpp alone and all peers, those of make
# peers-torch too if they are set up.
#
# usage: bench/embedding.sh CACHE RESULTS
set -eu

cache=$1
results=$2
server=$(echo "$cache"/peers/*/build/bin/llama-server)
torch=$cache/venv-torch/bin/python
[ -x "$torch" ] || torch=
ollama=$(echo "$cache"/peers/*/bin/ollama)
for kind in f16 q8_0; do
    bin/mullama bench embedding --model "$cache/models/all-MiniLM-L6-v2.$kind.gguf" \
        --peer "llama-server=$server" --peer "ollama=$ollama" \
        --python "$cache/venv-embedding/bin/python" --torch "$torch" \
        --json "$results/embedding-minilm-$kind.json"
done
