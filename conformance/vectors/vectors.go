// Package vectors reads the cases of this folder, and has the form in which the runners of all
// languages tell what came of them. README.md describes both.
package vectors

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// How near embeddings and scores have to be to those of a case: their cosine is at least so large,
// their length differs by at most such a part, and a score by at most so much.
const (
	NearCosine = 0.9999
	NearLength = 0.02
	NearScore  = 0.03
)

// Near is how far a log probability may be from that of a case.
const Near = 0.05

// File is a file of cases for one model.
type File struct {
	Load  json.RawMessage   `json:"load"`
	Skip  map[string]string `json:"skip"`
	Cases []Case            `json:"cases"`
}

// Case is what is done, and what has to come of it.
type Case struct {
	Name         string            `json:"name"`
	Group        string            `json:"group"` // a row of the table of bindings/README.md
	Skip         map[string]string `json:"skip"`  // the reason, by the runner or the run
	Op           string            `json:"op"`
	Text         string            `json:"text"`
	Flags        []string          `json:"flags"`
	Tokens       []int32           `json:"tokens"`
	Request      json.RawMessage   `json:"request"`
	Model        string            `json:"model"`
	Add          []json.RawMessage `json:"add"`
	Train        json.RawMessage   `json:"train"`
	Options      json.RawMessage   `json:"options"`
	CancelAfter  int               `json:"cancel_after"`
	WantText     *string           `json:"want_text"`
	WantParts    []string          `json:"want_parts"`
	WantLast     map[string]any    `json:"want_last"`
	WantLogprobs []Logprob         `json:"want_logprobs"`
	WantError    string            `json:"want_error"`
	WantMessage  string            `json:"want_message"`

	// Of texts: their rows, how many tokens they have, whether they were cut, and the names of
	// their errors, or "". Of documents: the best first.
	WantEmbeddings [][][]float32 `json:"want_embeddings"`
	WantTokens     []int         `json:"want_tokens"`
	WantTruncated  []bool        `json:"want_truncated"`
	WantErrors     []string      `json:"want_errors"`
	WantScores     []Score       `json:"want_scores"`
	WantMethod     string        `json:"want_method"`

	// Of an index: the documents that are found, the best first, and fields of what is in it.
	WantFound []Found        `json:"want_found"`
	WantInfo  map[string]any `json:"want_info"`
}

// Found is a document of an index that a search finds.
type Found struct {
	ID    string  `json:"id"`
	Score float64 `json:"score"`
}

// Score is that of the document with a number.
type Score struct {
	Index int     `json:"index"`
	Score float64 `json:"score"`
}

// Logprob is the log probability of a token, beside those of so many likeliest ones.
type Logprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Top     int     `json:"top"`
}

// Has reports whether a case has a flag, such as "add_special".
func (c *Case) Has(flag string) bool { return slices.Contains(c.Flags, flag) }

// Read reads the file of a name in this folder, for a model that goes by some name or path.
func Read(folder, name, model string) (*File, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(Path(folder, name))
	if err != nil {
		return nil, err
	}
	text := strings.NewReplacer("$VECTORS", folder, "$MODEL", model).Replace(string(data))
	file := new(File)
	if err := json.Unmarshal([]byte(text), file); err != nil {
		return nil, fmt.Errorf("%s: %w", Path(folder, name), err)
	}
	return file, nil
}

// Path is where the cases of a name are.
func Path(folder, name string) string { return filepath.Join(folder, name+".json") }

// Results are what the tests of one language found.
type Results struct {
	Language string            `json:"language"`
	Passed   int               `json:"passed"`
	Failed   int               `json:"failed"`
	Skipped  []Skipped         `json:"skipped"`
	Cases    map[string]string `json:"cases"` // "echo/a chat": passed, failed or skipped
}

// Skipped is a case that was left out.
type Skipped struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}
