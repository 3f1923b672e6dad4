package archtest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// mapFile is the document that describes every package.
const mapFile = "ARCHITECTURE.md"

// mapRow is a row of a package table: name, what it is, what it may import.
var mapRow = regexp.MustCompile(
	"(?m)^\\| `([\\w/-]+)`(?: \\(root\\))? \\|[^|\n]*\\|(?: ([^|\n]*) \\|)?$")

// CheckMap compares the package tables of ARCHITECTURE.md with the packages that exist and with the
// import table.
func CheckMap(files []File) []Problem {
	text, found := find(files, mapFile)
	if !found {
		return []Problem{{mapFile, 0, "is missing; it is the map of the packages"}}
	}
	var problems []Problem
	report := func(format string, args ...any) {
		problems = append(problems, Problem{mapFile, 0, fmt.Sprintf(format, args...)})
	}
	packages := packagesOf(files)
	var onMap []string
	for _, m := range mapRow.FindAllStringSubmatch(text, -1) {
		name, imports := m[1], m[2]
		onMap = append(onMap, name)
		switch {
		case !slices.Contains(packages, name):
			if !exists(files, name) {
				report("the tables have a row for %s, which does not exist", name)
			}
		case imports != mapImports(name, packages):
			report("the row of %s says it may import %q, the import table %q",
				name, imports, mapImports(name, packages))
		}
	}
	for _, pkg := range packages {
		if !slices.Contains(onMap, pkg) {
			report("package %s has no row in the tables", pkg)
		}
	}
	return problems
}

// mapImports is the last column of a package's row: what exists of its row in the import table.
func mapImports(pkg string, packages []string) string {
	row, _ := allowed(pkg)
	var names []string
	for _, name := range row {
		if slices.Contains(packages, name) {
			names = append(names, "`"+name+"`")
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// packagesOf lists the packages that hold more than tests; examples are described together.
func packagesOf(files []File) []string {
	var packages []string
	for _, f := range files {
		pkg := packageOf(f.Path)
		if f.IsGo() && !f.IsTest() && !strings.HasPrefix(pkg, "examples/") {
			packages = append(packages, pkg)
		}
	}
	slices.Sort(packages)
	return slices.Compact(packages)
}
