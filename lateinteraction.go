package mullama

import (
	"fmt"
	"math"

	"github.com/mullama/mullama/internal/colbert"
)

// LateInteraction is how a model for late interaction reads texts, as its file declares it. Texts
// that have a task and are not pooled are read so: by [Model.Score], by indexes, and by
// [Model.Embed]. What is longer than the lengths is cut.
type LateInteraction struct {
	// Tokens behind the first of a text; -1: none.
	QueryMarker    int `json:"query_marker"`
	DocumentMarker int `json:"document_marker"`
	// Most tokens, with markers and those at the ends.
	QueryLength    int `json:"query_length"`
	DocumentLength int `json:"document_length"`
	// Expansion is the token that queries are filled up with to their length; -1: they are not.
	Expansion int `json:"expansion"`
	// AttendToExpansion has the other tokens of a query pay attention to those.
	AttendToExpansion bool `json:"attend_to_expansion"`
	// Skip are tokens of documents whose vectors are left out, such as those of punctuation.
	Skip []int `json:"skip,omitempty"`
}

// lateInteraction reads what a file declares; nil for a model that is none for late interaction.
func lateInteraction(f colbert.Keys, vocab int) (*LateInteraction, error) {
	declared, err := colbert.Declared(f, vocab)
	return (*LateInteraction)(declared), err
}

// readAsDeclared has texts for a task read as the model declares, where it does.
func (p *embedPlan) readAsDeclared() error {
	declared := p.model.shared.info.LateInteraction
	if declared == nil || !p.perToken || p.Task == "" {
		if p.Length != 0 {
			return invalid(p.op, "a length of texts is for models for late interaction, with a "+
				"task and without pooling")
		}
		return nil
	}
	if p.Length < 0 || p.Length > p.longest {
		return invalid(p.op, fmt.Sprintf("the length of texts is %d tokens; it must be from 1 to "+
			"%d", p.Length, p.longest))
	}
	role, err := (*colbert.Settings)(declared).Role(p.Task, p.Length, p.longest)
	if err != nil {
		return invalid(p.op, err.Error())
	}
	cut := *p.EmbedOptions
	cut.Truncate = true
	p.EmbedOptions, p.role, p.longest, p.prefix = &cut, role, role.Room(), p.Prefix
	return nil
}

// daemonKeys are those of a file as a daemon tells them.
type daemonKeys map[string]any

// Int returns the value of an integer key.
func (d daemonKeys) Int(key string) (int64, bool) {
	n, ok := d[key].(float64)
	return int64(n), ok
}

// Bool returns the value of a bool key.
func (d daemonKeys) Bool(key string) (value, ok bool) {
	value, ok = d[key].(bool)
	return value, ok
}

// Ints returns an array of integers; nil for one that the daemon does not tell.
func (d daemonKeys) Ints(key string) ([]int64, error) {
	all, _ := d[key].([]any)
	var numbers []int64
	for _, one := range all {
		if n, ok := one.(float64); ok {
			numbers = append(numbers, int64(n))
		}
	}
	return numbers, nil
}

// daemonLateInteraction is lateInteraction of what a daemon tells, which has checked it.
func daemonLateInteraction(info map[string]any) *LateInteraction {
	declared, err := lateInteraction(daemonKeys(info), math.MaxInt32)
	if err != nil {
		return nil
	}
	return declared
}
