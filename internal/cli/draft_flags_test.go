package cli

import "testing"

func TestDraftFlagsReachTheLoad(t *testing.T) {
	fake := newFake()
	run(fake, "", "run", "m.gguf", "--model-draft", "small.gguf", "--spec-draft-n-max", "5",
		"--spec-draft-n-min", "2", "--spec-draft-p-min", "0.5", "--spec-type", "draft-simple", "Hi")
	o := fake.load
	if o.Draft != "small.gguf" || o.DraftTokens != 5 || o.DraftLeast != 2 ||
		o.DraftProbability != 0.5 || o.DraftType != "draft-simple" {
		t.Errorf("the options are %+v", o)
	}
	checkRefusal(t, run(newFake(), "", "run", "m.gguf", "--spec-type", "eagle", "Hi"), exitUsage,
		"ngram-simple")
	checkRefusal(t, run(newFake(), "", "serve", "--model-draft", "small.gguf"), exitUsage,
		"--model names")
}
