package scripted_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/engine"
	"github.com/mullama/mullama/internal/engine/scripted"
)

func newModel(cfg scripted.Config) *scripted.Model {
	cfg.Limits = engine.Limits{Ctx: 16, CtxPerSeq: 8, Batch: 4, UBatch: 4, Sequences: 2, Vocab: 256}
	cfg.Script = scripted.Echo
	return scripted.New(cfg)
}

func sampler(t *testing.T, m *scripted.Model, prompt string) engine.Sampler {
	t.Helper()
	s, err := m.NewSampler(engine.Sampling{})
	if err != nil {
		t.Fatal(err)
	}
	s.Prime(scripted.Prompt(prompt))
	return s
}

// add plans text at position pos of sequence seq and returns the last index.
func add(m *scripted.Model, text string, pos, seq int32) (last int) {
	for i, token := range scripted.Prompt(text) {
		last = m.Add(token, pos+int32(i), seq)
	}
	return last
}

func TestEchoRepeatsThePromptAndEnds(t *testing.T) {
	m := newModel(scripted.Config{})
	s := sampler(t, m, "hi")
	next := "hi"
	var got []string
	for pos := int32(0); ; {
		m.Begin()
		m.Sample(add(m, next, pos, 1), s, -1)
		result, err := m.Step()
		if err != nil {
			t.Fatal(err)
		}
		if result.Rows[0].End {
			break
		}
		pos += int32(len(next))
		next = string(result.Rows[0].Piece)
		got = append(got, next)
	}
	s.Close()
	if !slices.Equal(got, []string{"h", "i"}) || m.Samplers() != 0 || len(m.Violations()) != 0 {
		t.Errorf("got %q, %d samplers, %q", got, m.Samplers(), m.Violations())
	}
}

func TestMistakesOfAnEngineAreFound(t *testing.T) {
	for _, tt := range []struct {
		name string
		plan func(*scripted.Model, engine.Sampler)
		want string
	}{
		{"an empty step", func(*scripted.Model, engine.Sampler) {}, "has 0 tokens"},
		{"a step over the budget", func(m *scripted.Model, _ engine.Sampler) {
			add(m, "abcde", 0, 0)
		}, "has 5 tokens"},
		{"a gap", func(m *scripted.Model, _ engine.Sampler) {
			add(m, "ab", 1, 0)
		}, "puts position 1"},
		{"a token twice", func(m *scripted.Model, _ engine.Sampler) {
			add(m, "a", 0, 0)
			add(m, "a", 0, 0)
		}, "puts position 0"},
		{"a sequence too many", func(m *scripted.Model, _ engine.Sampler) { add(m, "a", 0, 2) },
			"uses sequence 2 of 2"},
		{"two samples of a row", func(m *scripted.Model, s engine.Sampler) {
			i := add(m, "ab", 0, 0)
			m.Sample(i, s, -1)
			m.Sample(i, s, -1)
		}, "twice"},
		{"a row before the last", func(m *scripted.Model, s engine.Sampler) {
			m.Sample(add(m, "ab", 0, 0)-1, s, -1)
		}, "not the last"},
		{"a row out of the plan", func(m *scripted.Model, s engine.Sampler) {
			add(m, "ab", 0, 0)
			m.Sample(7, s, -1)
		}, "row 7 of 2"},
		{"another prompt than the sampler's", func(m *scripted.Model, s engine.Sampler) {
			m.Sample(add(m, "ac", 0, 0), s, -1)
		}, "the cache holds"},
		{"a sampler after its end", func(m *scripted.Model, s engine.Sampler) {
			s.Close()
			m.Sample(add(m, "ab", 0, 0), s, -1)
		}, "after its end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newModel(scripted.Config{})
			s := sampler(t, m, "ab")
			m.Begin()
			tt.plan(m, s)
			_, err := m.Step()
			all := strings.Join(m.Violations(), "\n")
			if err == nil || !strings.Contains(all, tt.want) {
				t.Errorf("got %v and %q, want %q", err, all, tt.want)
			}
		})
	}
}

func TestFaultsLeaveTheCacheAsTold(t *testing.T) {
	errBroken := errors.New("broken")
	for _, tt := range []struct {
		name  string
		fault scripted.Fault
		abort bool
		want  error
		kept  int
	}{
		{"a failed step", scripted.Fault{Err: errBroken, Kept: 2}, false, errBroken, 2},
		{"a full cache", scripted.Fault{Err: engine.ErrCacheFull, Kept: 2}, false,
			engine.ErrCacheFull, 0},
		{"an aborted step", scripted.Fault{Block: true, Kept: 1}, true, engine.ErrCancelled, 1},
		{"no fault", scripted.Fault{}, false, nil, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newModel(scripted.Config{
				Fault: func(*scripted.Plan) scripted.Fault { return tt.fault },
			})
			m.Begin()
			add(m, "abc", 0, 0)
			if tt.abort {
				go m.Abort(true)
			}
			if _, err := m.Step(); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if got := m.Cached(); got != tt.kept {
				t.Errorf("%d tokens in the cache, want %d", got, tt.kept)
			}
		})
	}
}

func TestCacheFullAndWholeSequences(t *testing.T) {
	m := newModel(scripted.Config{Cells: 3, Whole: true})
	m.Begin()
	add(m, "ab", 0, 0)
	add(m, "cd", 0, 1)
	if _, err := m.Step(); !errors.Is(err, engine.ErrCacheFull) || m.Cached() != 0 {
		t.Errorf("got %v with %d tokens in the cache", err, m.Cached())
	}
	m.Begin()
	add(m, "ab", 0, 0)
	if _, err := m.Step(); err != nil {
		t.Fatal(err)
	}
	if m.Remove(0, 1) || !m.Remove(0, 2) || !m.Remove(0, 0) || m.Cached() != 0 {
		t.Errorf("the wrong parts were forgotten; %d tokens are left", m.Cached())
	}
}
