// Package conformance holds Mullama against what it is built on.
//
// Its tests compare token ids, greedy answers and rendered chat templates with references that
// share no code with it: llama.cpp driven through its C header by the program mullama-oracle, the
// golden token files that belong to llama.cpp's vocabularies, and Jinja2 with Hugging Face's
// settings. They use the pinned test models and skip, saying what is missing, without them.
//
// Each test counts the items it compared. The counts are printed when the tests end, and written
// to the file named by MULLAMA_CONFORMANCE_SUMMARY when that is set.
package conformance
