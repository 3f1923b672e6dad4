package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Info is what a daemon tells of itself and of the first model of a run.
type Info struct {
	Version      string
	Model        string
	Digest       string // SHA-256 of the manifest, in hexadecimal digits
	Size         int64
	Family       string
	Quantization string
}

// Describe asks a daemon about itself. It fails where a model of the run is missing.
func Describe(ctx context.Context, w Work) (*Info, error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	var version struct {
		Version string `json:"version"`
	}
	var tags struct {
		Models []struct {
			Name    string `json:"name"`
			Digest  string `json:"digest"`
			Size    int64  `json:"size"`
			Details struct {
				Family       string `json:"family"`
				Quantization string `json:"quantization_level"`
			} `json:"details"`
		} `json:"models"`
	}
	if err := fetch(ctx, w, "/api/version", &version); err != nil {
		return nil, err
	}
	if err := fetch(ctx, w, "/api/tags", &tags); err != nil {
		return nil, err
	}
	var first *Info
	for _, name := range w.Models {
		found := false
		for _, m := range tags.Models {
			if m.Name != name && m.Name != name+":latest" {
				continue
			}
			found = true
			if first == nil {
				first = &Info{version.Version, strings.ReplaceAll(name, "/", "_"),
					strings.TrimPrefix(m.Digest, "sha256:"), m.Size, m.Details.Family,
					m.Details.Quantization}
			}
		}
		if !found {
			return nil, fmt.Errorf("the daemon at %s has no model %s", w.URL, name)
		}
	}
	return first, nil
}

func fetch(ctx context.Context, w Work, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.URL+path, nil)
	if err != nil {
		return err
	}
	authorize(req, w.Key)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	if err := ok(resp); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(into)
}
