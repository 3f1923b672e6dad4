package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

const (
	// embeddingLongest is how many tokens a text has at most: as many as the models are made for.
	embeddingLongest = 512
	// documentCall is how many documents a call has where they do not come one by one.
	documentCall = 256
	// oneByOne is how many documents a collection has at most that is also embedded one by one.
	oneByOne = 10_000
	// embeddingTurn is how many tokens a turn has at least, in as many calls as it takes up to
	// mostCalls. Fewer take so little time that what else runs on the machine decides.
	embeddingTurn = 4096
	mostCalls     = 256
	// mostParts is how many parts, of as many tokens as a turn has at least, a work is done in.
	mostParts = 20
)

// embeddingWords are one token each for the vocabularies of BERT.
var embeddingWords = strings.Fields(`time year people way day man thing woman life child world
	school state family student group country problem hand part place case week company system
	program question work government number night point home water room mother area money story
	fact month lot right study book eye job word business issue side kind head house service friend
	father power hour game line end member law car city community name president team minute idea
	body information back parent face others level office door health person art war history party
	result change morning reason research girl guy moment air teacher force education`)

// embeddingWork is what every side does in a turn.
type embeddingWork struct {
	name   string
	counts []int // texts of each call
	length int   // tokens of each text; 0: 8 to 24
	tokens int   // of all, about
}

// embeddingWorks are all works, in the order of the tables.
func embeddingWorks(o embeddingOptions) []embeddingWork {
	var works []embeddingWork
	for _, length := range o.lengths {
		for _, batch := range o.batches {
			n := min(mostCalls, max(1, embeddingTurn/(length*batch)))
			works = append(works, embeddingWork{
				name:   fmt.Sprintf("%d tokens, calls of %d", length, batch),
				length: length, tokens: n * batch * length, counts: split(n*batch, batch)})
		}
	}
	for _, n := range o.documents {
		times := min(10, (embeddingTurn+16*n-1)/(16*n)) // small collections come several times
		for _, each := range []int{1, documentCall} {
			w := embeddingWork{tokens: times * 16 * n, counts: slices.Repeat(split(n, each), times),
				name: fmt.Sprintf("%d documents, calls of %d", n, each)}
			if each == 1 && n > oneByOne {
				continue
			}
			if each == 1 {
				w.name = fmt.Sprintf("%d documents, one by one", n)
			}
			works = append(works, w)
		}
	}
	return works
}

// split divides n into parts of at most each.
func split(n, each int) []int {
	var parts []int
	for ; n > 0; n -= each {
		parts = append(parts, min(n, each))
	}
	return parts
}

func (w embeddingWork) texts() int {
	n := 0
	for _, count := range w.counts {
		n += count
	}
	return n
}

// parts cuts calls into those that a side does before the next takes its turn.
func (w embeddingWork) parts(calls [][]string) [][][]string {
	n := max(1, min(mostParts, w.tokens/embeddingTurn))
	return slices.Collect(slices.Chunk(calls, (len(calls)+n-1)/n))
}

// calls makes the texts. A text begins and ends with a token that is not of a word.
func (w embeddingWork) calls(random *rand.Rand) [][]string {
	calls := make([][]string, len(w.counts))
	for i, count := range w.counts {
		for range count {
			length := w.length
			if length == 0 {
				length = 8 + random.IntN(17)
			}
			words := make([]string, max(1, length-2))
			for j := range words {
				words[j] = embeddingWords[random.IntN(len(embeddingWords))]
			}
			calls[i] = append(calls[i], strings.Join(words, " "))
		}
	}
	return calls
}
