package registry

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// A journal says which pieces of a partial file are there:
//
//	mullama-partial 1 <size of the blob> <size of a piece>
//	<number of a piece> <SHA-256 of it>
//	…
//
// Lines are only added. One that was cut off counts for nothing.

// sum is a SHA-256.
type sum = [sha256.Size]byte

func journalHead(size, piece int64) string {
	return fmt.Sprintf("mullama-partial 1 %d %d\n", size, piece)
}

// readJournal returns the hashes of the pieces that a journal has, nil for others. One that is for
// other sizes has none.
func readJournal(path string, size, piece int64) []*sum {
	pieces := make([]*sum, countPieces(size, piece))
	f, err := os.Open(path)
	if err != nil {
		return pieces
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	if !lines.Scan() || lines.Text()+"\n" != journalHead(size, piece) {
		return pieces
	}
	for lines.Scan() {
		var i int
		var digits string
		if _, err := fmt.Sscanf(lines.Text(), "%d %64s", &i, &digits); err != nil ||
			i < 0 || i >= len(pieces) {
			continue
		}
		if b, err := hex.DecodeString(strings.TrimSpace(digits)); err == nil &&
			len(b) == sha256.Size {
			s := sum(b)
			pieces[i] = &s
		}
	}
	return pieces
}

func countPieces(size, piece int64) int { return int((size + piece - 1) / piece) }

// journalBytes is about how much of a blob a journal says is there, for who waits for another
// program that fetches it.
func journalBytes(path string) int64 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	var size, piece, n int64
	lines := bufio.NewScanner(f)
	if !lines.Scan() {
		return 0
	}
	if _, err := fmt.Sscanf(lines.Text(), "mullama-partial 1 %d %d", &size, &piece); err != nil {
		return 0
	}
	for lines.Scan() {
		n += piece
	}
	return min(n, size)
}
