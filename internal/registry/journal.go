package registry

import (
	"bufio"
	"fmt"
	"hash/crc32"
	"os"
	"strconv"
	"strings"
)

// A journal says which pieces of a partial file are there:
//
//	mullama-partial 2 <size of the blob> <size of a piece>
//	<number of a piece> <CRC-32C of it, 8 hexadecimal digits>
//	…
//
// Lines are only added. One that was cut off counts for nothing. The checksums tell pieces that the
// disk lost; what a server sends is known by the digest of the whole.

// castagnoli makes checksums at the speed of memory.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func journalHead(size, piece int64) string {
	return fmt.Sprintf("mullama-partial 2 %d %d\n", size, piece)
}

// readJournal returns the checksums of the pieces that a journal has, nil for others. One that is
// for other sizes has none.
func readJournal(path string, size, piece int64) []*uint32 {
	pieces := make([]*uint32, countPieces(size, piece))
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
		number, digits, _ := strings.Cut(lines.Text(), " ")
		i, err := strconv.Atoi(number)
		if err != nil || i < 0 || i >= len(pieces) || len(digits) != 8 {
			continue
		}
		if sum, err := strconv.ParseUint(digits, 16, 32); err == nil {
			s := uint32(sum)
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
	_, err = fmt.Sscanf(lines.Text(), "mullama-partial 2 %d %d", &size, &piece)
	if err != nil || size < 0 || piece < 0 {
		return 0
	}
	for n < size && lines.Scan() {
		n += min(piece, size-n)
	}
	return n
}
