package bench

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/testmodels"
)

func TestDraftsAreMeasuredBesideTheSameTextWithoutThem(t *testing.T) {
	file := filepath.Join(t.TempDir(), "draft.json")
	_, stderr, err := runCommand(t, "bench", "draft", "--model", testmodels.Path(t, "smollm2"),
		"--rounds", "1", "--generate-tokens", "24", "--threads", "1", "--json", file)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	r := readResult(t, file)
	if !r.SameText || len(r.Warnings) > 0 {
		t.Errorf("same text %v, warnings %q", r.SameText, r.Warnings)
	}
	rows := rowMap(&r)
	again := rows["ngram_simple_a_list_again_tg"]
	if again.Value <= 0 || again.Ratio == nil {
		t.Errorf("the row of a list is %+v", again)
	}
	if right := rows["ngram_simple_a_list_again_accepted_percent"]; right.Value < 50 {
		t.Errorf("of the guesses in a list %v %% are right", right.Value)
	}
	if n := rows["ngram_simple_a_list_again_tokens_step"].Value; n < 2 {
		t.Errorf("a step gave %v tokens of a list", n)
	}
	if rows["itself_free_text_accepted_percent"].Value != 100 {
		t.Errorf("the model's own guesses: %+v", rows["itself_free_text_accepted_percent"])
	}
	page := Report([]*Result{&r})
	if !strings.Contains(page, "| case | generation, tokens/s | of the same without |") {
		t.Errorf("the table is\n%s", page)
	}
	if all := standings([]*Result{&r}); len(all) != 3 || all[0].other != "the same without drafts" {
		t.Errorf("the summary has %+v", all)
	}
}

func TestADraftModelThatIsNotThereIsRefusedBeforeAnythingIsMeasured(t *testing.T) {
	_, stderr, err := runCommand(t, "bench", "draft", "--model", testmodels.Path(t, "smollm2"),
		"--draft", "none.gguf")
	if err == nil || !strings.Contains(err.Error(), "--draft: read none.gguf: no such file") ||
		strings.Contains(stderr, "round") {
		t.Errorf("error is %v\n%s", err, stderr)
	}
}
