package archtest_test

import (
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/archtest"
)

func TestAChangedHeaderIsNoticed(t *testing.T) {
	header := archtest.File{Path: "native/mullama_native.h", Text: "int x;\n"}
	user := archtest.File{Path: "internal/llama/shim.h", Text: "// stale\n"}
	problems := archtest.CheckHeader([]archtest.File{header, user})
	if len(problems) != 1 {
		t.Fatalf("problems %v, want one", problems)
	}
	_, rest, _ := strings.Cut(problems[0].Text, "checksum, ")
	user.Text = "// " + rest[:16] + "\n"
	if problems := archtest.CheckHeader([]archtest.File{header, user}); len(problems) > 0 {
		t.Errorf("with the checksum there are problems: %v", problems)
	}
}
