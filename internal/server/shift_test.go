package server

import "testing"

func TestAnAnswerGoesOnInAFullContextUnlessToldOtherwise(t *testing.T) {
	s := newSite(t, Config{})
	ask := func(shift bool) map[string]any {
		return s.ok("POST", "/api/generate", object{
			"model": "tiny", "prompt": "once", "raw": true, "stream": false, "shift": shift,
			"options": object{"temperature": 0, "num_ctx": 128, "num_predict": 300},
		})
	}
	if got := ask(false)["eval_count"].(float64); got >= 128 {
		t.Errorf("%v tokens without a shift in a context of 128", got)
	}
	if got := ask(true)["eval_count"].(float64); got != 300 {
		t.Errorf("%v tokens with shifts, want 300", got)
	}
}
