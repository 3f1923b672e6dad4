package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

// packageOf returns the table's name for the package that a file belongs to.
func packageOf(file string) string {
	if dir := path.Dir(file); dir != "." {
		return dir
	}
	return root
}

// allowed returns the row of a package.
func allowed(pkg string) ([]string, bool) {
	if row, found := mayImport[pkg]; found {
		return row, true
	}
	folder, _, _ := strings.Cut(pkg, "/")
	row, found := folderRules[folder]
	return row, found
}

// importName turns an import path into the table's name; ours is false for other modules.
func importName(importPath string) (name string, ours bool) {
	if importPath == module {
		return root, true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// CheckImports holds every Go file against the import table and the rule on cgo.
func CheckImports(files []File) []Problem {
	var problems []Problem
	holders := make(map[string][]string) // the files of a package with its one-file import
	for _, f := range files {
		if !f.IsGo() {
			continue
		}
		pkg := packageOf(f.Path)
		row, known := allowed(pkg)
		if !known {
			problems = append(problems, Problem{f.Path, 0, fmt.Sprintf("package %s has no row in "+
				"the import table; add one to internal/archtest/table.go and to %s", pkg, mapFile)})
			continue
		}
		imports, err := importsOf(f)
		if err != nil {
			problems = append(problems, Problem{f.Path, 0, err.Error()})
			continue
		}
		for _, spec := range imports {
			if text := judgeImport(f, pkg, row, spec.path); text != "" {
				problems = append(problems, Problem{f.Path, spec.line, text})
			}
			if name, ours := importName(spec.path); ours && oneFile[pkg] == name && !f.IsTest() {
				holders[pkg] = append(holders[pkg], f.Path)
			}
		}
	}
	return append(problems, tooManyHolders(holders)...)
}

func tooManyHolders(holders map[string][]string) []Problem {
	var problems []Problem
	for pkg, names := range holders {
		for _, name := range names[1:] {
			problems = append(problems, Problem{name, 0, fmt.Sprintf(
				"only one file of %s may import %s, and %s does", pkg, oneFile[pkg], names[0])})
		}
	}
	return problems
}

type importSpec struct {
	path string
	line int
}

func importsOf(f File) ([]importSpec, error) {
	fset := token.NewFileSet()
	syntax, err := parser.ParseFile(fset, f.Path, f.Text, parser.ImportsOnly)
	if err != nil {
		return nil, fmt.Errorf("does not parse: %w", err)
	}
	var specs []importSpec
	for _, s := range syntax.Imports {
		name, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			return nil, err
		}
		specs = append(specs, importSpec{name, fset.Position(s.Pos()).Line})
	}
	return specs, nil
}

// judgeImport returns what is wrong with one import, or "".
func judgeImport(f File, pkg string, row []string, importPath string) string {
	if importPath == "C" {
		if slices.Contains(cgoPackages, pkg) {
			return ""
		}
		return `import "C" belongs in ` + strings.Join(cgoPackages, " and ") + " only"
	}
	name, ours := importName(importPath)
	if !ours || name == pkg || slices.Contains(row, name) {
		return ""
	}
	if f.IsTest() && slices.Contains(testHelpers, name) {
		return ""
	}
	return fmt.Sprintf("%s may not import %s; its row in the import table has %s",
		pkg, name, listed(row))
}

func listed(row []string) string {
	if len(row) == 0 {
		return "none of ours"
	}
	return strings.Join(row, ", ")
}

// CheckPackageComments wants one doc comment in every package, in a file that is not a test.
func CheckPackageComments(files []File) []Problem {
	described := make(map[string]bool)
	first := make(map[string]string)
	var problems []Problem
	for _, f := range files {
		if !f.IsGo() || f.IsTest() {
			continue
		}
		pkg := packageOf(f.Path)
		if first[pkg] == "" {
			first[pkg] = f.Path
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), f.Path, f.Text,
			parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			problems = append(problems, Problem{f.Path, 0, fmt.Sprintf("does not parse: %v", err)})
			continue
		}
		described[pkg] = described[pkg] || hasComment(syntax)
	}
	for pkg, file := range first {
		if !described[pkg] {
			problems = append(problems, Problem{file, 0, fmt.Sprintf("package %s has no package "+
				"comment; say what it gives, the model in the reader's head, and the rule for "+
				"concurrent use", pkg)})
		}
	}
	return problems
}

func hasComment(syntax *ast.File) bool {
	return syntax.Doc != nil && strings.TrimSpace(syntax.Doc.Text()) != ""
}
