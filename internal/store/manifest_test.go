package store_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/store"
)

const digest = "sha256:0046228e0e1e467e26ba150258dfc336c1a3b069399babcf48d028b6550f410d"

func TestBrokenManifestsAreNamed(t *testing.T) {
	layer := func(digest, size string) string {
		return `{"layers":[{"digest":"` + digest + `","size":` + size + `}]}`
	}
	for _, tt := range []struct{ text, want string }{
		{"", "not a JSON object"},
		{"null", "not a JSON object"},
		{"[]", "not a JSON object"},
		{"{}", "neither a config nor layers"},
		{`{"layers":[`, "cut off"},
		{`{"layers":[{"digest":`, "cut off"},
		{`{"layers":3}`, "cannot unmarshal"},
		{layer("", "1"), "is not sha256"},
		{layer("sha256:12", "1"), "is not sha256"},
		{layer("md5:"+digest[7:], "1"), "is not sha256"},
		{layer("sha256/"+digest[7:], "1"), "is not sha256"},
		{layer("sha256:../"+digest[10:], "1"), `has a '.'`},
		{layer(digest, "-1"), "size -1"},
		{layer(digest, "1e99"), "cannot unmarshal"},
		{`{"layers":[{"digest":"` + digest + `","size":9223372036854775807},{"digest":"` + digest +
			`","size":1}]}`, "layer 1 has the size 1"},
	} {
		_, err := store.ParseManifest([]byte(tt.text))
		wantError(t, err, store.ErrCorrupt, tt.want)
	}
}

func TestManifestsOfOllamaAreAccepted(t *testing.T) {
	for _, text := range []string{
		`{"config":{"digest":"` + digest + `"},"layers":null}`,
		`{"layers":[{"digest":"` + strings.Replace(digest, ":", "-", 1) + `"}],"annotations":{}}`,
		`{"layers":[{"digest":"` + strings.ToUpper(digest[7:]) + `"}]}`,
		" \n{\"layers\":[{\"digest\":\"" + digest + "\"}]} and more",
	} {
		text = strings.Replace(text, `"0046228E`, `"sha256:0046228E`, 1)
		if _, err := store.ParseManifest([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// golden is an entry of testdata/ollama.json: what Ollama reads in testdata/ollama, which it wrote.
type golden struct {
	Name, Full, Digest string
	Size               int64
	Layers             []string
	Config             *store.Config
}

func goldenModels(t testing.TB) []golden {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "ollama.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []golden
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestStoreOfOllamaIsReadInPlace(t *testing.T) {
	s := store.New(filepath.Join("testdata", "ollama"))
	before := tree(t, s.Dir())
	entries, problems := s.List()
	if len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
	all := goldenModels(t)
	if len(entries) != len(all) {
		t.Errorf("%d models; want %d", len(entries), len(all))
	}
	for _, g := range all {
		e, err := s.Get(name(t, strings.ToLower(g.Name)))
		if err != nil {
			t.Error(err)
			continue
		}
		if e.Name.Short() != g.Name || e.Name.String() != g.Full || e.Digest != g.Digest ||
			e.Manifest.Size() != g.Size || len(e.Manifest.Layers) != len(g.Layers) {
			t.Errorf("got %+v; want %+v", e, g)
		}
		for i, l := range e.Manifest.Layers {
			if want := strings.Fields(g.Layers[i]); l.MediaType != want[0] || l.Digest != want[1] ||
				"from="+l.From != want[4] {
				t.Errorf("layer %d of %s is %+v; want %q", i, g.Name, l, want)
			}
			if b, err := s.ReadBlob(l); err != nil || int64(len(b)) != l.Size {
				t.Errorf("blob %d of %s: %d bytes, %v", i, g.Name, len(b), err)
			}
		}
		config, err := s.ReadConfig(e.Manifest)
		if err != nil || !reflect.DeepEqual(config, g.Config) {
			t.Errorf("config of %s is %+v, %v; want %+v", g.Name, config, err, g.Config)
		}
	}
	sameTree(t, tree(t, s.Dir()), before)
}

func TestWritingAgainWhatOllamaWroteGivesTheSameBytes(t *testing.T) {
	theirs, ours := store.New(filepath.Join("testdata", "ollama")), store.New(t.TempDir())
	for _, g := range goldenModels(t) {
		e, err := theirs.Get(name(t, g.Name))
		if err != nil {
			t.Fatal(err)
		}
		d := ours.Draft()
		var layers []store.Layer
		for _, l := range e.Manifest.Layers {
			b, err := theirs.ReadBlob(l)
			if err != nil {
				t.Fatal(err)
			}
			added, err := d.Add(t.Context(), bytes.NewReader(b), l.MediaType)
			if err != nil {
				t.Fatal(err)
			}
			added.From = l.From
			layers = append(layers, added)
		}
		config, err := d.AddJSON(t.Context(), g.Config, store.TypeConfig)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Commit(e.Name, config, layers); err != nil {
			t.Fatal(err)
		}
	}
	sameTree(t, tree(t, ours.Dir()), tree(t, theirs.Dir()))
}

// FuzzParseManifest checks that an accepted manifest names only blobs inside the store, and means
// the same when it is written again.
func FuzzParseManifest(f *testing.F) {
	for path, text := range tree(f, filepath.Join("testdata", "ollama")) {
		if strings.HasPrefix(path, "manifests/") {
			f.Add([]byte(text))
		}
	}
	f.Add([]byte(`{"layers":[{"digest":"sha256:../../../../../../etc/passwd","size":-1}]}`))
	s := store.New("models")
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := store.ParseManifest(b)
		if err != nil {
			wantError(t, err, store.ErrCorrupt)
			return
		}
		if m.Size() < 0 {
			t.Fatalf("size %d", m.Size())
		}
		for _, l := range m.Layers {
			path, err := s.BlobPath(l.Digest)
			if err != nil || filepath.Dir(path) != filepath.Join("models", "blobs") {
				t.Fatalf("digest %q is at %q, %v", l.Digest, path, err)
			}
		}
		again, err := store.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		n, err := store.ParseManifest(again)
		if err != nil || m.Config != n.Config || !slices.Equal(m.Layers, n.Layers) {
			t.Fatalf("%q became %q: %v", b, again, err)
		}
	})
}
