package engine

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// plainSeq is a sequence as the brute-force model of the tree has it: a cell of its own or of
// others for each token.
type plainSeq struct {
	tokens  []Token
	cells   []int
	running bool
}

// TestTreeCountsCellsLikeAListOfThem does random things to a tree and to lists of cells, and
// compares all that the engine asks the tree for.
func TestTreeCountsCellsLikeAListOfThem(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		tr := &tree{}
		seqs := make([]*sequence, 5)
		plain := make([]*plainSeq, len(seqs))
		for i := range seqs {
			seqs[i], plain[i] = &sequence{id: int32(i), end: &tr.root}, &plainSeq{}
		}
		next := 0
		for range 60 {
			i, j := random.IntN(len(seqs)), random.IntN(len(seqs))
			s, p := seqs[i], plain[i]
			switch random.IntN(4) {
			case 0: // decode
				for range 1 + random.IntN(6) {
					token := Token(random.IntN(3))
					tr.extend(s, []Token{token})
					p.tokens, p.cells = append(p.tokens, token), append(p.cells, next)
					next++
				}
			case 1: // cut
				n := random.IntN(s.n + 1)
				tr.cut(s, n)
				p.tokens, p.cells = slices.Clone(p.tokens[:n]), slices.Clone(p.cells[:n])
			case 2: // copy
				if i != j && s.n > 0 && seqs[j].n == 0 {
					n := 1 + random.IntN(s.n)
					tr.share(s, seqs[j], n)
					plain[j].tokens = slices.Clone(p.tokens[:n])
					plain[j].cells = slices.Clone(p.cells[:n])
				}
			case 3: // start or finish
				p.running = !p.running
				tr.setRunning(s, p.running)
			}
			compareTree(t, tr, seqs, plain)
			compareMatch(t, tr, seqs, plain, random)
			if t.Failed() {
				return
			}
		}
	}
}

func compareTree(t *testing.T, tr *tree, seqs []*sequence, plain []*plainSeq) {
	t.Helper()
	cells, held := map[int]bool{}, map[int]bool{}
	for i, p := range plain {
		if seqs[i].n != len(p.tokens) {
			t.Errorf("sequence %d has %d tokens, want %d", i, seqs[i].n, len(p.tokens))
		}
		for _, c := range p.cells {
			cells[c] = true
			if p.running {
				held[c] = true
			}
		}
	}
	if tr.cells != len(cells) || tr.held != len(held) {
		t.Errorf("%d cells and %d held, want %d and %d", tr.cells, tr.held, len(cells), len(held))
	}
	for i, p := range plain {
		alone, heldOf := 0, 0
		for k := len(p.cells) - 1; k >= 0 && !usedByOthers(plain, i, p.cells[k]); k-- {
			alone++
		}
		for k, c := range p.cells {
			if held[c] {
				heldOf = k + 1
			}
		}
		if got := tr.alone(seqs[i]); got != alone {
			t.Errorf("sequence %d: %d cells alone, want %d", i, got, alone)
		}
		if got := tr.heldOf(seqs[i], len(p.cells)); got != heldOf {
			t.Errorf("sequence %d: %d cells held by running ones, want %d", i, got, heldOf)
		}
	}
}

func usedByOthers(plain []*plainSeq, i, cell int) bool {
	for j, p := range plain {
		if j != i && slices.Contains(p.cells, cell) {
			return true
		}
	}
	return false
}

func compareMatch(
	t *testing.T, tr *tree, seqs []*sequence, plain []*plainSeq, random *rand.Rand,
) {
	t.Helper()
	wanted := make([]Token, random.IntN(12))
	for i := range wanted {
		wanted[i] = Token(random.IntN(3))
	}
	tr.match(wanted, "")
	for i, p := range plain {
		if got, want := tr.reach(seqs[i]), common(p.tokens, wanted); got != want {
			t.Errorf("sequence %d agrees in %d tokens, want %d", i, got, want)
		}
	}
}
