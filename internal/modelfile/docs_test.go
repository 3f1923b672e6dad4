package modelfile

import (
	"os"
	"strings"
	"testing"
)

func TestTheDocumentNamesEveryCommandAndParameter(t *testing.T) {
	text, err := os.ReadFile("../../docs/modelfile.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	for _, name := range ParameterNames() {
		if !strings.Contains(doc, "`"+name+"`") {
			t.Errorf("docs/modelfile.md does not name the parameter %s", name)
		}
	}
	names := append([]string(nil), plain...)
	for name := range keyed {
		names = append(names, name)
	}
	for _, name := range names {
		if !strings.Contains(doc, "`"+name+" ") {
			t.Errorf("docs/modelfile.md does not name the command %s", name)
		}
		if name != "MMPROJ" && name != "VISION_PROJECTOR" && !strings.Contains(doc, "\n"+name+" ") {
			t.Errorf("docs/modelfile.md has no example of the command %s", name)
		}
	}
}
