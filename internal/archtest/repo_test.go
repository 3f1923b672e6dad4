package archtest_test

import (
	"testing"

	"github.com/mullama/mullama/internal/archtest"
)

const repoRoot = "../.."

func repoFiles(t *testing.T) []archtest.File {
	t.Helper()
	files, err := archtest.ReadRepo(repoRoot)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("found only %d files in the repository", len(files))
	}
	return files
}

func TestRepositoryFollowsItsRules(t *testing.T) {
	files := repoFiles(t)
	for _, rule := range []struct {
		name  string
		check func([]archtest.File) []archtest.Problem
	}{
		{"imports", archtest.CheckImports},
		{"package comments", archtest.CheckPackageComments},
		{"lines and files", archtest.CheckLines},
		{"functions", archtest.CheckFunctions},
		{"words", archtest.CheckWords},
		{"documents", archtest.CheckDocuments},
		{"map", archtest.CheckMap},
		{"errors", archtest.CheckErrors},
		{"header", archtest.CheckHeader},
	} {
		t.Run(rule.name, func(t *testing.T) {
			for _, problem := range rule.check(files) {
				t.Error(problem)
			}
		})
	}
}
