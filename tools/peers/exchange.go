package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/mullama/mullama/internal/testregistry"
)

// exchange has Ollama pull from a registry what we have pushed, and push it under another name, and
// us pull that: in the end there are the same files as in the beginning, but for the line end after
// a manifest, which Ollama's push leaves out.
func exchange(ctx context.Context, out io.Writer, work, ours, ollama string) error {
	w := &workshop{}
	defer w.close()
	host := testregistry.New(w).Host()
	sent, back := host+"/some/sent", host+"/some/back"
	for _, stage := range []struct {
		store, program string
		steps          [][]string
	}{
		{"mullama", ours, [][]string{{"cp", "made", sent}, {"push", "--insecure", sent},
			{"rm", sent}}},
		{"pulled-ollama", ollama, [][]string{{"pull", "--insecure", sent}, {"cp", sent, back},
			{"push", "--insecure", back}, {"rm", sent}}},
		{"pulled-mullama", ours, [][]string{{"pull", "--insecure", back}}},
	} {
		if err := makeStore(ctx, work, stage.store, stage.program, stage.steps...); err != nil {
			return fmt.Errorf("exchange with a registry, store %s: %w", stage.store, err)
		}
	}
	made, err := filesOf(filepath.Join(work, "mullama"))
	if err != nil {
		return err
	}
	manifest := ""
	for name, text := range made {
		if strings.HasSuffix(name, filepath.Join("library", "made", "latest")) {
			manifest = strings.TrimSpace(text)
		}
	}
	for _, store := range []string{"pulled-ollama", "pulled-mullama"} {
		pulled, err := filesOf(filepath.Join(work, store))
		if err != nil {
			return err
		}
		models := 0
		for name, text := range pulled {
			was := made[name] // a blob has its digest for a name
			switch {
			case strings.HasPrefix(name, "manifests"):
				was, text = manifest, strings.TrimSpace(text)
				models++
			case !strings.HasPrefix(name, "blobs"):
				continue // a lock
			}
			if text != was {
				return fmt.Errorf("%s of %s is\n%s\nwhere it was\n%s", name, store, text, was)
			}
		}
		if models != 1 {
			return fmt.Errorf("%s has %d models", store, models)
		}
	}
	fmt.Fprintln(out, "store: Ollama pulls what we push, and we what Ollama pushes; "+
		"it stays the same to the byte")
	return nil
}
