package llama_test

import (
	"testing"

	"github.com/mullama/mullama/internal/synth"
)

func TestContextTellsWhatItTakesAsTheDryRunDoes(t *testing.T) {
	path := tinyFile(t, synth.Options{})
	lib := library(t)
	mp, cp := lib.DefaultModelParams(), smallContext(t)
	want, err := lib.MemoryPlan(path, mp, cp)
	if err != nil {
		t.Fatal(err)
	}
	c := newContext(t, load(t, path, mp), cp)
	got, flash, err := c.Memory()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("Memory() has %d devices, the dry run %d", len(got), len(want))
	}
	for i := range got {
		w, g := want[i], got[i]
		if g.Device != w.Device || g.Cache != w.Cache || g.Compute != w.Compute ||
			g.Weights < w.Weights {
			t.Errorf("device %d takes %+v; the dry run says %+v", i, g, w)
		}
	}
	if !flash {
		t.Error("flash attention is off where it is chosen automatically; want it on a CPU")
	}
	cp.FlashAttention = 0
	off := newContext(t, load(t, path, mp), cp)
	if _, flash, _ := off.Memory(); flash {
		t.Error("flash attention is on where it was turned off")
	}
}

func TestMemoryOfAClosedContextIsAnError(t *testing.T) {
	c, err := tiny(t).NewContext(smallContext(t))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, _, err := c.Memory(); err == nil {
		t.Error("a closed context tells its memory")
	}
}

func TestPluginsHaveNames(t *testing.T) {
	plugins, err := library(t).Plugins()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range plugins {
		if p.Name == "" {
			t.Errorf("plug-in %+v has no name", p)
		}
	}
}
