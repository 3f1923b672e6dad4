package maxsim

import (
	"cmp"
	"slices"
)

// hit is a document with its score.
type hit struct {
	doc   uint64
	score float32
}

// better orders hits: the larger score first, of equal ones the document that was added first.
func better(a, b hit) bool {
	return a.score > b.score || a.score == b.score && a.doc < b.doc
}

// top keeps the k best hits in a heap with the worst of them in front.
type top struct {
	k    int
	hits []hit
}

func (t *top) add(h hit) {
	if len(t.hits) < t.k {
		t.hits = append(t.hits, h)
		t.up(len(t.hits) - 1)
		return
	}
	if t.k > 0 && better(h, t.hits[0]) {
		t.hits[0] = h
		t.down()
	}
}

func (t *top) up(i int) {
	for i > 0 {
		above := (i - 1) / 2
		if better(t.hits[i], t.hits[above]) {
			return
		}
		t.hits[i], t.hits[above] = t.hits[above], t.hits[i]
		i = above
	}
}

func (t *top) down() {
	for i := 0; ; {
		below := 2*i + 1
		if below >= len(t.hits) {
			return
		}
		if right := below + 1; right < len(t.hits) && better(t.hits[below], t.hits[right]) {
			below = right
		}
		if better(t.hits[below], t.hits[i]) {
			return
		}
		t.hits[i], t.hits[below] = t.hits[below], t.hits[i]
		i = below
	}
}

// merge adds the hits of another.
func (t *top) merge(other *top) {
	for _, h := range other.hits {
		t.add(h)
	}
}

// sorted returns the hits, best first.
func (t *top) sorted() []hit {
	slices.SortFunc(t.hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.doc, b.doc))
	})
	return t.hits
}
