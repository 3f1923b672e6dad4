package archtest_test

import (
	"testing"

	"github.com/mullama/mullama/internal/archtest"
)

func TestTheMapHasEveryPackageAndNoOther(t *testing.T) {
	const text = "| `mullama` (root) | a | `internal/gguf`, `internal/llama` |\n" +
		"| `internal/gguf` | b | none |\n" +
		"| `internal/llama` | c | `internal/gguf` |\n" +
		"| `internal/gone` | d | none |\n| `web` | e |\n"
	expect(t, archtest.CheckMap([]archtest.File{
		{Path: "ARCHITECTURE.md", Text: text},
		goFile("mullama.go"), goFile("internal/gguf/a.go"), goFile("internal/llama/a.go"),
		goFile("internal/novel/a.go"), goFile("examples/go/hello/main.go"), {Path: "web/index.md"},
	}),
		"the row of internal/llama says",
		"internal/gone, which does not exist",
		"internal/novel has no row")
	expect(t, archtest.CheckMap(nil), "is missing")
}

func TestEveryKindOfErrorIsDocumented(t *testing.T) {
	source := archtest.File{Path: "errors.go", Text: "package mullama\n\nvar (\n" +
		"\tErrA = errors.New(\"a is gone\")\n\tErrB = errors.New(\"b is gone\")\n)\n"}
	table := archtest.File{Path: "docs/errors.md", Text: "| `ErrA` | a is gone | x |\n" +
		"| `ErrB` | b went | x |\n| `ErrC` | c | x |\n"}
	expect(t, archtest.CheckErrors([]archtest.File{source, table}),
		"ErrB with the text \"b is gone\"", "ErrC, which errors.go does not have")
}
