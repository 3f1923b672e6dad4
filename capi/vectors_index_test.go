package main

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/mullama/mullama/conformance/vectors"
)

// index fills an index, opens it anew, and compares what a search finds.
func (v *vector) index(t *testing.T, e engine, m model) error {
	if v.Has("no_model") {
		m = nil
	}
	path := v.Model
	if path == "" {
		path = filepath.Join(t.TempDir(), "docs.index")
	}
	x, err := openIndex(e, path, m, v.Options)
	if err != nil {
		return err
	}
	err = v.fill(x)
	if closed := x.Close(); closed != nil {
		t.Error(closed)
	}
	if err != nil {
		return err
	}
	if x, err = openIndex(e, path, m, nil); err != nil {
		return err
	}
	defer x.Close()
	data, err := x.search(v.Request)
	if err != nil {
		return err
	}
	var answer struct {
		Results []vectors.Found `json:"results"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		t.Fatal(err)
	}
	info, err := x.info()
	if err != nil {
		return err
	}
	if err := v.CheckFound(answer.Results, info); err != nil {
		t.Error(err)
	}
	return x.Verify()
}

func (v *vector) fill(x *index) error {
	for _, request := range v.Add {
		if err := x.add(request); err != nil {
			return err
		}
	}
	if v.Train == nil {
		return nil
	}
	return x.train(v.Train)
}
