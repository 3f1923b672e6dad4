// Package archtest checks the repository against its own rules, in one place and as ordinary tests.
//
// The rules are about structure (which package may import which, where cgo may appear), size
// (lines, functions, files), words (nothing unfinished, nothing about one machine) and documents
// (commands and make targets that exist, examples that are compiled and run). Each check takes
// files and returns problems; the tests run the checks over the repository and over small examples
// that break the rule. ARCHITECTURE.md says why the rules are there.
package archtest
