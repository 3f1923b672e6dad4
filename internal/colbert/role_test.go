package colbert

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/gguf"
)

func TestTextsAreCompletedForTheirRole(t *testing.T) {
	s := &Settings{QueryMarker: 7, DocumentMarker: 8, QueryLength: 6, DocumentLength: 5,
		Expansion: 4, Skip: []int{10, 11}}
	attends, plain := *s, *s
	attends.AttendToExpansion = true
	plain.Expansion, plain.QueryMarker = None, None
	for _, tt := range []struct {
		name         string
		s            *Settings
		task         string
		length       int
		room         int
		tokens, want []int32
		unseen       int
	}{
		{name: "query", s: s, task: "query", room: 5, tokens: []int32{2, 9, 3},
			want: []int32{2, 7, 9, 3, 4, 4}, unseen: 2},
		{name: "full query", s: s, task: "query", room: 5, tokens: []int32{2, 9, 9, 9, 3},
			want: []int32{2, 7, 9, 9, 9, 3}},
		{name: "attention", s: &attends, task: "query", room: 5, tokens: []int32{2, 9, 3},
			want: []int32{2, 7, 9, 3, 4, 4}},
		{name: "plain", s: &plain, task: "query", room: 6, tokens: []int32{2, 9, 3},
			want: []int32{2, 9, 3}},
		{name: "document", s: s, task: "document", room: 4, tokens: []int32{2, 10, 3},
			want: []int32{2, 8, 10, 3}},
		{name: "length", s: s, task: "query", length: 8, room: 7, tokens: []int32{2, 3},
			want: []int32{2, 7, 3, 4, 4, 4, 4, 4}, unseen: 5},
	} {
		role, err := tt.s.Role(tt.task, tt.length, 100)
		if err != nil {
			t.Fatal(tt.name, err)
		}
		got, unseen := role.Complete(tt.tokens)
		if !slices.Equal(got, tt.want) || unseen != tt.unseen || role.Room() != tt.room {
			t.Errorf("%s: %v, %d unseen, room for %d; want %v, %d, %d", tt.name, got, unseen,
				role.Room(), tt.want, tt.unseen, tt.room)
		}
		if role.Skips(10) != (tt.task == "document") || role.Skips(9) {
			t.Errorf("%s: the wrong tokens are left out", tt.name)
		}
	}
	_, err := s.Role("query", 3, 100)
	if err == nil || !strings.Contains(err.Error(), "at least 4") {
		t.Errorf("a length of 3: %v", err)
	}
	if role, err := s.Role("query", 200, 100); err != nil || role.Room() != 99 {
		t.Errorf("a length that is longer than the context: %+v, %v", role, err)
	}
}

func stored(t *testing.T, set func(*gguf.Writer)) *gguf.File {
	t.Helper()
	w := &gguf.Writer{}
	w.Set("general.architecture", "bert")
	set(w)
	var out bytes.Buffer
	if _, err := w.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Read(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFilesKeepWhatIsDeclared(t *testing.T) {
	for _, want := range []*Settings{
		{QueryMarker: 7, DocumentMarker: 8, QueryLength: 32, DocumentLength: 180, Expansion: 4,
			AttendToExpansion: true, Skip: []int{10, 11}},
		{QueryMarker: None, DocumentMarker: None, QueryLength: 4, DocumentLength: 4,
			Expansion: None},
	} {
		got, err := Declared(stored(t, want.Store), 12)
		if err != nil || !same(got, want) {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	if got, err := Declared(stored(t, func(*gguf.Writer) {}), 12); got != nil || err != nil {
		t.Errorf("a file that declares nothing: %+v, %v", got, err)
	}
}

func TestFilesThatDeclareNonsenseAreRefused(t *testing.T) {
	good := Settings{QueryMarker: 7, DocumentMarker: 8, QueryLength: 32, DocumentLength: 180,
		Expansion: 4, Skip: []int{10}}
	for want, set := range map[string]func(*gguf.Writer){
		"the query length is -1": func(w *gguf.Writer) { w.Set(keyQueryLength, int64(-1)) },
		"the document length is 2147483647": func(w *gguf.Writer) {
			w.Set(keyDocumentLength, uint64(math.MaxUint32))
		},
		"token 12 for late":  func(w *gguf.Writer) { w.Set(keyQueryMarker, uint32(12)) },
		"token -7 for late":  func(w *gguf.Writer) { w.Set(keySkip, []int32{-7}) },
		"a token to be left": func(w *gguf.Writer) { w.Set(keySkip, []int32{-1}) },
		"want integers":      func(w *gguf.Writer) { w.Set(keySkip, []string{"a"}) },
	} {
		f := stored(t, func(w *gguf.Writer) { good.Store(w); set(w) })
		if _, err := Declared(f, 12); !errors.Is(err, gguf.ErrMalformed) ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
