package server

import (
	"slices"
	"testing"
)

func TestPsAndShowTellWhereAModelIs(t *testing.T) {
	s := newSite(t, Config{})
	s.ok("POST", "/api/generate", object{"model": "tiny", "keep_alive": "90s",
		"options": object{"num_ctx": 256}})
	running := s.ok("GET", "/api/ps", nil)["models"].([]any)[0].(object)
	plan := running["plan"].(object)
	devices := plan["devices"].([]any)
	host := devices[len(devices)-1].(object)
	for _, name := range []string{"weights", "cache", "compute", "memory_total"} {
		if n, _ := host[name].(float64); n <= 0 {
			t.Errorf("%s of the host is %v", name, host[name])
		}
	}
	size := host["weights"].(float64) + host["cache"].(float64) + host["compute"].(float64)
	if len(devices) == 1 && (running["size"] != size || running["size_vram"] != 0.0) {
		t.Errorf("size is %v, size_vram %v; want %v and 0", running["size"],
			running["size_vram"], size)
	}
	if plan["context_length"] != 256.0 || plan["flash_attn"] == "auto" {
		t.Errorf("the plan of a loaded model is %v", plan)
	}

	shown := s.ok("POST", "/api/show", object{"model": "tiny"})
	if shown["plan"] != nil {
		t.Error("show tells a plan that nobody asked for, which takes a dry run")
	}
	shown = s.ok("POST", "/api/show", object{"model": "tiny", "plan": true,
		"options": object{"num_ctx": 128}})
	if plan := shown["plan"].(object); plan["context_length"] != 128.0 || plan["layers"] != 3.0 {
		t.Errorf("the plan of a model of 2 layers is %v", plan)
	}
}

func TestRequestsForAGPUThatIsMissingAreAnsweredAndNoted(t *testing.T) {
	s := newSite(t, Config{})
	options := greedy(2)
	options["num_gpu"], options["main_gpu"] = 99, 0
	s.ok("POST", "/api/generate", object{"model": "tiny", "prompt": "a", "stream": false,
		"options": options})
	plan := s.ok("GET", "/api/ps", nil)["models"].([]any)[0].(object)["plan"].(object)
	notes, _ := plan["notes"].([]any)
	if devices := plan["devices"].([]any); len(devices) == 1 && !slices.ContainsFunc(notes,
		func(note any) bool { return note != "" }) {
		t.Errorf("the plan says nothing of the GPU that was asked for: %v", plan)
	}
	options["num_gpu"] = -2
	s.refused("POST", "/api/generate", object{"model": "tiny", "prompt": "a", "options": options},
		400, "GPU layers are -2; use 0 or more, or -1 for all")
}
