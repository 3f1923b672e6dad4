package maxsim

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// inMemory is how many bytes of a mapped file this process has pages of.
func inMemory(t *testing.T, path string) int64 {
	t.Helper()
	file, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	defer file.Close()
	sum, in := int64(0), false
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var kb int64
		switch line := lines.Text(); {
		case strings.Contains(line, "-") && strings.Contains(line, " r"):
			in = strings.HasSuffix(line, path)
		case in:
			if n, _ := fmt.Sscanf(line, "Rss: %d kB", &kb); n == 1 {
				sum += kb << 10
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return sum
}

// The system brings in some pages around the one that is read, so there are margins.
func TestPagesOfAnIndexComeWhenTheyAreRead(t *testing.T) {
	const dim = 64
	r := rand.New(rand.NewPCG(6, 6))
	path := newPath(t)
	docs := topics(r, 3000, dim)
	x := open(t, path, Options{Dim: dim})
	add(t, x, docs)
	if err := x.Train(bg, TrainOptions{Centroids: 16}); err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	size := info.Size()
	if size < 16<<20 {
		t.Fatalf("the index has %d bytes, too few to tell", size)
	}
	x = open(t, path, Options{})
	opened := inMemory(t, path)
	if opened > size/8 {
		t.Errorf("%d bytes of %d are in memory when nothing was read", opened, size)
	}
	query := docs[100].Vectors
	search(t, x, query, 1, SearchOptions{Probe: 1, Candidates: 5})
	few := inMemory(t, path)
	if few > size/2 {
		t.Errorf("a search in some groups brought %d bytes of %d", few, size)
	}
	search(t, x, query, 1, SearchOptions{})
	if all := inMemory(t, path); all < size/2 || all > size+1<<20 {
		t.Errorf("a search of everything has %d bytes of %d in memory", all, size)
	} else {
		t.Logf("of %d bytes: opened %d, some groups %d, everything %d", size, opened, few, all)
	}
}
