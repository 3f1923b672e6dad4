"""Tokenizes the texts of a JSON list on stdin with a tokenizer.json, by Hugging Face's tokenizers."""

import json
import sys

from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file(sys.argv[1])
texts = json.load(sys.stdin)
print(json.dumps([tokenizer.encode(text, add_special_tokens=False).ids for text in texts]))
