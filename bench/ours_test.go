package bench

import (
	"fmt"
	"hash/fnv"
	"strings"
	"testing"

	"github.com/mullama/mullama"
)

func TestPseudoTokensAreThoseOfTheOracle(t *testing.T) {
	for _, tt := range []struct {
		seed uint64
		want string
	}{
		{1, "[14294 17241 12492 27366 31578 33011]"},
		{2, "[29164 20394 25992 34904 36935 587]"},
	} {
		got := fmt.Sprint(pseudoTokens(6, 49152, tt.seed))
		if got != tt.want {
			t.Errorf("seed %d gave %s, want %s", tt.seed, got, tt.want)
		}
	}
}

func TestSumIsThatOfTheOracle(t *testing.T) {
	sum := fnv.New64a()
	addTokens(sum, []mullama.Token{1, 257, -1})
	if got, want := fmt.Sprintf("%016x", sum.Sum64()), "378896065c7e5286"; got != want {
		t.Errorf("sum is %s, want %s", got, want)
	}
}

func TestOptionsOfASideAreRead(t *testing.T) {
	got, err := parseOptions([]string{"reps=5", "ctx=128"})
	if err != nil {
		t.Fatal(err)
	}
	if got["reps"] != 5 || got["ctx"] != 128 || got["prompt"] != 512 || got["threads"] != 2 {
		t.Errorf("options are %v", got)
	}
}

func TestBadOptionsOfASideAreRefused(t *testing.T) {
	for _, word := range []string{"reps", "reps=", "reps=x", "reps=0", "speed=3", ""} {
		if _, err := parseOptions([]string{word}); err == nil {
			t.Errorf("%q was taken", word)
		}
	}
}

func TestAnUnknownStageIsNamed(t *testing.T) {
	err := (&side{}).stage(t.Context(), "warp")
	if err == nil || !strings.Contains(err.Error(), `"warp"`) {
		t.Errorf("error is %v", err)
	}
}
