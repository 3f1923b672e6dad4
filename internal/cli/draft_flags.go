package cli

import (
	"github.com/spf13/pflag"
)

// isPlain reports whether nothing is to be used with the model that is for it alone.
func (f *loadFlags) isPlain() bool {
	o := &f.options
	return len(o.Adapters)+len(o.ControlVectors) == 0 && o.Draft == ""
}

// defineAll declares the flags of a command that generates text, which another model may draft.
func (f *loadFlags) defineAll(set *pflag.FlagSet) {
	f.define(set)
	o := &f.options
	set.StringVar(&o.Draft, "model-draft", "",
		"`MODEL` that guesses tokens for the other to check, a file or a name: smaller, with the "+
			"same vocabulary")
	set.Var(oneOf(&o.DraftType, "draft-simple", "ngram-simple"), "spec-type",
		"who guesses: draft-simple, the draft model (the default), or ngram-simple, what came "+
			"before in the text")
	set.IntVar(&o.DraftTokens, "spec-draft-n-max", 0,
		"guess up to `N` tokens at once (default 3, or 6 of what came before; -1: none)")
	set.IntVar(&o.DraftLeast, "spec-draft-n-min", 0, "drop guesses of fewer than `N` tokens")
	set.Var(numberFlag(&o.DraftProbability), "spec-draft-p-min",
		"end guesses at a token less probable than this (default 0)")
}
