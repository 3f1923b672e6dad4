package conformance

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestMain(m *testing.M) {
	code := m.Run()
	summary := scores.String()
	fmt.Print(summary)
	if path := os.Getenv("MULLAMA_CONFORMANCE_SUMMARY"); path != "" {
		if err := os.WriteFile(path, []byte(summary), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// scores is what the tests of this run compared.
var scores scoreboard

// A scoreboard counts compared items by name, in the order in which the names appeared.
type scoreboard struct {
	mu    sync.Mutex
	names []string
	rows  map[string]*score
}

type score struct {
	compared, equal int
	explained       int // not equal, for a reason that the test knows and checks
}

// add counts one compared item.
func (b *scoreboard) add(name string, equal bool) {
	b.update(name, func(s *score) {
		s.compared++
		if equal {
			s.equal++
		}
	})
}

// explain counts one compared item that differs for a known reason.
func (b *scoreboard) explain(name string) {
	b.update(name, func(s *score) {
		s.compared++
		s.explained++
	})
}

func (b *scoreboard) update(name string, change func(*score)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rows == nil {
		b.rows = make(map[string]*score)
	}
	if b.rows[name] == nil {
		b.rows[name] = new(score)
		b.names = append(b.names, name)
	}
	change(b.rows[name])
}

func (b *scoreboard) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out strings.Builder
	for _, name := range b.names {
		b.rows[name].write(&out, name)
	}
	return out.String()
}

func (s *score) write(w io.Writer, name string) {
	fmt.Fprintf(w, "conformance: %-46s %6d compared, %6d equal", name, s.compared, s.equal)
	if s.explained > 0 {
		fmt.Fprintf(w, ", %d different for a known reason", s.explained)
	}
	if wrong := s.compared - s.equal - s.explained; wrong > 0 {
		fmt.Fprintf(w, ", %d WRONG", wrong)
	}
	fmt.Fprintln(w)
}

func TestScoreboardCountsByName(t *testing.T) {
	var b scoreboard
	b.add("one", true)
	b.add("two", false)
	b.add("one", true)
	b.explain("one")
	got := strings.Split(strings.TrimSpace(b.String()), "\n")
	want := []string{
		fmt.Sprintf("conformance: %-46s      3 compared,      2 equal, %s", "one",
			"1 different for a known reason"),
		fmt.Sprintf("conformance: %-46s      1 compared,      0 equal, 1 WRONG", "two"),
	}
	if !slices.Equal(got, want) {
		t.Errorf("summary is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
