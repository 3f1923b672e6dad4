package mullama

import (
	"slices"
	"strings"
	"testing"
)

func TestRequestsToADaemonTakeNoMoreThanItDoes(t *testing.T) {
	huge := strings.Repeat("a", requestBytes+1)
	half := huge[:requestBytes/2+1]
	for _, tt := range []struct {
		name  string
		texts []string
		want  []int // texts of each part
	}{
		{"nothing", nil, []int{0}},
		{"one", []string{"a"}, []int{1}},
		{"as many as go", slices.Repeat([]string{"a"}, requestTexts), []int{requestTexts}},
		{"one more", slices.Repeat([]string{"a"}, requestTexts+1), []int{requestTexts, 1}},
		{"too large alone", []string{"a", huge, "b", "c"}, []int{1, 1, 2}},
		{"two that are too large together", []string{half, half}, []int{1, 1}},
	} {
		var got []int
		var all []string
		for part := range parts(tt.texts, func(s string) int { return len(s) }) {
			got, all = append(got, len(part)), append(all, part...)
		}
		if !slices.Equal(got, tt.want) || !slices.Equal(all, tt.texts) {
			t.Errorf("%s: parts of %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestTextsAndTokensAreRequestsOfTheirOwn(t *testing.T) {
	for _, tt := range []struct {
		texts, tokens int
		want          [][2]int
	}{
		{0, 0, [][2]int{{0, 0}}}, {2, 0, [][2]int{{2, 0}}}, {0, 3, [][2]int{{0, 3}}},
		{2, 3, [][2]int{{2, 0}, {0, 3}}},
		{1, requestTexts + 1, [][2]int{{1, 0}, {0, requestTexts}, {0, 1}}},
	} {
		e := &EmbedRequest{Texts: make([]string, tt.texts), Tokens: make([][]Token, tt.tokens)}
		e.Dimensions = 5
		var got [][2]int
		for part := range embedParts(e) {
			got = append(got, [2]int{len(part.Texts), len(part.Tokens)})
			if part.Dimensions != 5 {
				t.Errorf("a part has the options %+v", part.EmbedOptions)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%d texts and %d tokens: %v, want %v", tt.texts, tt.tokens, got, tt.want)
		}
	}
}
