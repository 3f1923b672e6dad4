package colbert

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func files(texts ...string) fstest.MapFS {
	folder := fstest.MapFS{}
	for i := 0; i < len(texts); i += 2 {
		folder[texts[i]] = &fstest.MapFile{Data: []byte(texts[i+1])}
	}
	return folder
}

func vocabulary() *Vocabulary {
	tokens := map[string]int{}
	for i, text := range []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]",
		"[unused1]", "[Q] ", "[D] ", "a", ".", "?"} {
		tokens[text] = i
	}
	return &Vocabulary{Tokens: tokens, Unknown: 1, Mask: 4}
}

func TestModelsAreReadAsTheirFilesDeclare(t *testing.T) {
	usual := Settings{QueryMarker: 7, DocumentMarker: 8, QueryLength: 32, DocumentLength: 180,
		Expansion: 4, Skip: []int{1, 10, 11}} // the vocabulary has no other punctuation
	change := func(by func(*Settings)) *Settings {
		s := usual
		by(&s)
		return &s
	}
	for name, tt := range map[string]struct {
		folder fstest.MapFS
		want   *Settings
	}{
		"nothing":      {files(), nil},
		"other models": {files(configFile, `{"similarity_fn_name": "cosine", "prompts": {}}`), nil},
		"PyLate": {files(configFile, `{"similarity_fn_name": "MaxSim", "query_length": null,
			"prompts": {"query": ""}, "default_prompt_name": null}`), &usual},
		"PyLate, all": {files(configFile, `{"query_prefix": "", "document_prefix": "[unused1]",
			"query_length": 48, "document_length": 300, "attend_to_expansion_tokens": true,
			"do_query_expansion": true, "skiplist_words": ["?", "a", "?"]}`),
			&Settings{QueryMarker: None, DocumentMarker: 6, QueryLength: 48, DocumentLength: 300,
				Expansion: 4, AttendToExpansion: true, Skip: []int{9, 11}}},
		"no expansion": {files(configFile, `{"query_length": 32, "do_query_expansion": false,
			"attend_to_expansion_tokens": true}`),
			change(func(s *Settings) { s.Expansion = None })},
		"ColBERT": {files(metadataFile, `{"query_maxlen": 64, "doc_maxlen": 220, "dim": 128}`),
			change(func(s *Settings) {
				s.QueryMarker, s.DocumentMarker, s.QueryLength, s.DocumentLength = 5, 6, 64, 220
			})},
		"ColBERT, all": {files(metadataFile, `{"query_token_id": "[Q] ", "doc_token_id": "[D] ",
			"attend_to_mask_tokens": true, "mask_punctuation": false, "similarity": "cosine"}`),
			change(func(s *Settings) { s.AttendToExpansion, s.Skip = true, nil })},
		"both": {files(metadataFile, `{"query_maxlen": 64, "doc_maxlen": 220}`, configFile,
			`{"query_prefix": "[Q] ", "document_prefix": "[D] ", "query_length": 32}`),
			change(func(s *Settings) { s.DocumentLength = 220 })},
	} {
		got, err := Published(tt.folder, vocabulary())
		if err != nil || (got == nil) != (tt.want == nil) {
			t.Errorf("%s: %+v, %v", name, got, err)
		} else if got != nil && !same(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

func same(a, b *Settings) bool {
	x, y := *a, *b
	x.Skip, y.Skip = nil, nil
	return slices.Equal(a.Skip, b.Skip) && x.QueryMarker == y.QueryMarker &&
		x.DocumentMarker == y.DocumentMarker && x.QueryLength == y.QueryLength &&
		x.DocumentLength == y.DocumentLength && x.Expansion == y.Expansion &&
		x.AttendToExpansion == y.AttendToExpansion
}

func TestDeclarationsThatCannotBeFollowedAreRefused(t *testing.T) {
	for want, folder := range map[string]fstest.MapFS{
		"the query length is 0 tokens; it must be from 4": files(configFile, `{"query_length": 0}`),
		"the document length is -3 tokens": files(configFile,
			`{"query_length": 32, "document_length": -3}`),
		`no token for the query prefix "[X] "`:   files(configFile, `{"query_prefix": "[X] "}`),
		`no token for the document prefix "x"`:   files(metadataFile, `{"doc_token_id": "x"}`),
		"read config_sentence_transformers.json": files(configFile, `{"query_length": "32"}`),
		"read artifact.metadata":                 files(metadataFile, `{`),
		`the similarity "l2"`:                    files(metadataFile, `{"similarity": "l2"}`),
		`begin with the prompt "query"`: files(configFile, `{"query_length": 32,
			"prompts": {"query": "query: "}, "default_prompt_name": "query"}`),
	} {
		got, err := Published(folder, vocabulary())
		if got != nil && err == nil || err == nil || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("want %q, got %+v, %v", want, got, err)
		}
	}
	_, err := Published(files(metadataFile, `{"similarity": "l2"}`), vocabulary())
	if !errors.Is(err, ErrUnsupported) {
		t.Errorf("another similarity: %v", err)
	}
}

func FuzzPublished(f *testing.F) {
	f.Add(`{"query_length": 32, "skiplist_words": ["."]}`, `{"doc_maxlen": 180}`, `[]`)
	f.Add(`{}`, `{"query_token_id": "[unused0]"}`, `[{"path": "1_Dense", "type": "a.Dense"}]`)
	f.Fuzz(func(t *testing.T, config, metadata, modules string) {
		folder := files(configFile, config, metadataFile, metadata, modulesFile, modules,
			"1_Dense/config.json", config, "1_Dense/model.safetensors", modules)
		s, err := Published(folder, vocabulary())
		if err == nil && s != nil {
			for _, task := range []string{"query", "document"} {
				role, err := s.Role(task, 0, 512)
				if err != nil {
					t.Fatalf("%+v has no role: %v", s, err)
				}
				if all, _ := role.Complete(make([]int32, role.Room())); len(all) > 512 {
					t.Errorf("%d tokens", len(all))
				}
			}
		}
		_, _ = ReadProjection(folder, 4)
	})
}
