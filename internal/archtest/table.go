package archtest

// module is the path of our Go module.
const module = "github.com/mullama/mullama"

// root is the name of the root package in the table.
const root = "mullama"

// mayImport says which of our packages each of our packages may import, tests aside. A new package
// needs a row here and one in ARCHITECTURE.md; a new entry in a row needs a reason in the commit.
var mayImport = map[string][]string{
	root: {"api", "internal/chat", "internal/colbert", "internal/convert", "internal/embedder",
		"internal/engine", "internal/gguf", "internal/gotemplate", "internal/llama",
		"internal/maxsim", "internal/modelfile", "internal/registry", "internal/safetensors",
		"internal/sched", "internal/store"},
	"api":               {},
	"bench":             {root, "bench/load", "bench/soak", "internal/synth"},
	"bench/load":        {},
	"bench/soak":        {},
	"capi":              {"api", "internal/server", root},
	"cmd/mullama":       {"internal/cli"},
	"cmd/mullama-bench": {"internal/benchcmd"},
	"internal/archtest": {},
	"internal/benchcmd": {"internal/gguf", "internal/synth"},
	"internal/chat":     {},
	"internal/cli": {"api", root, "internal/config", "internal/instance", "internal/modelfile",
		"internal/server", "bench"},
	"internal/config":   {},
	"internal/colbert":  {"internal/gguf", "internal/safetensors"},
	"internal/convert":  {"internal/colbert", "internal/gguf", "internal/safetensors"},
	"internal/embedder": {"internal/llama"},
	"internal/engine":   {"internal/llama"},
	// The scripted model stands in for llama in tests of engine and of everything above it.
	"internal/engine/scripted": {"internal/engine"},
	"internal/gguf":            {},
	"internal/gotemplate":      {},
	"internal/instance":        {},
	"internal/llama":           {},
	"internal/maxsim":          {"internal/llama"},
	"internal/modelfile":       {},
	"internal/registry":        {"internal/store"},
	"internal/safetensors":     {},
	"internal/sched":           {},
	"internal/server":          {"api", root},
	"internal/store":           {},
	"internal/synth":           {"internal/gguf"},
	"conformance/vectors":      {},
	"internal/testmodels":      {},
	"internal/testregistry":    {},
	"internal/testdaemon":      {root, "internal/testmodels"},
	"tools/benchcompare":       {},
	"tools/bindgen":            {},
	"tools/countinstructions":  {},
	"tools/fetchmodels":        {"internal/convert", "internal/gguf", "internal/testmodels"},
	"tools/nativebuild":        {},
	"tools/parity":             {"conformance/vectors"},
	"tools/peers":              {"internal/testmodels", "internal/testregistry"},
}

// folderRules are rows for folders that may grow packages without a row each.
var folderRules = map[string][]string{
	"conformance": {
		root, "api", "internal/convert", "internal/llama", "internal/testdaemon",
		"internal/testmodels",
	},
	"examples": {root, "api"},
}

// testHelpers may be imported by the tests of every package.
var testHelpers = []string{
	"conformance/vectors", "internal/engine/scripted", "internal/gguf", "internal/synth",
	"internal/testdaemon", "internal/testmodels", "internal/testregistry",
}

// oneFile names the imports that only one file of the package may have, so that the rest of the
// package can be tested without it.
var oneFile = map[string]string{"internal/engine": "internal/llama"}

// cgoPackages are the only ones that may import "C".
var cgoPackages = []string{"internal/llama", "capi"}

// The limits on size.
const (
	maxColumns      = 100
	maxFileLines    = 600
	maxFunction     = 70
	maxTestFunction = 100
	tabWidth        = 4
)
