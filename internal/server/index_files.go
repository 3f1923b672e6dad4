package server

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/mullama/mullama"
)

const (
	// indexSuffix ends the names of the files of indexes.
	indexSuffix = ".index"
	// indexIdle is how long an index that nobody uses stays in memory.
	indexIdle = 5 * time.Minute
)

// indexNames are those that are a file's name everywhere, and no path.
var indexNames = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// indexFiles are the indexes of a folder. Those in use are in memory, not mapped: when another
// program cuts a file that is mapped, the system ends the process.
type indexFiles struct {
	folder string
	idle   time.Duration

	mu   sync.Mutex // guards open, and what an openIndex says is so
	open map[string]*openIndex
}

// openIndex is an index in memory.
type openIndex struct {
	once  sync.Once // opens it
	index *mullama.Index
	err   error

	file  fs.FileInfo // from before it was opened: another file of this name is another index
	users int
	timer *time.Timer // runs while there are no users
}

// path returns where an index is, or an error for a name that none can have.
func (f *indexFiles) path(name string) (string, error) {
	if f.folder == "" {
		return "", refuse(http.StatusNotFound, "this server keeps no indexes")
	}
	if !indexNames.MatchString(name) {
		return "", badField("name", "the name of an index is 1 to 64 letters, digits, _ and -, "+
			"and begins with a letter or digit")
	}
	return filepath.Join(f.folder, name+indexSuffix), nil
}

// existing returns where an index is that must be there. A link is none: it may lead anywhere.
func (f *indexFiles) existing(name string) (string, error) {
	path, err := f.path(name)
	if err != nil {
		return "", err
	}
	file, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !file.Mode().IsRegular() {
		return "", refuse(http.StatusNotFound, "there is no index %s", name)
	}
	return path, err
}

// hidden is an error that names an index, and not where it is.
func (f *indexFiles) hidden(err error) error {
	failure := (*mullama.Error)(nil)
	folder := f.folder + string(filepath.Separator)
	if !errors.As(err, &failure) || !strings.Contains(failure.Err.Error(), folder) {
		return err
	}
	text := strings.ReplaceAll(failure.Err.Error(), folder, "")
	return &mullama.Error{Kind: failure.Kind, Op: failure.Op, Hint: failure.Hint,
		Err: errors.New(text)}
}

// names lists the indexes that there are.
func (f *indexFiles) names() ([]string, error) {
	files, err := os.ReadDir(f.folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, file := range files {
		name, ok := strings.CutSuffix(file.Name(), indexSuffix)
		if ok && indexNames.MatchString(name) && file.Type().IsRegular() {
			names = append(names, name)
		}
	}
	return names, nil
}

// use opens an index unless it is open, and keeps it so until release is called.
func (f *indexFiles) use(name string) (x *mullama.Index, release func(), err error) {
	path, err := f.existing(name)
	if err != nil {
		return nil, nil, err
	}
	file, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	o := f.join(name, file)
	release = func() { f.leave(name, o) }
	o.once.Do(func() {
		o.index, o.err = mullama.OpenIndex(path, mullama.IndexOptions{InMemory: true})
	})
	if o.err != nil {
		f.drop(name, o)
		release()
		return nil, nil, o.err
	}
	return o.index, release, nil
}

// join returns the open index of a file, or a new one to be opened, with one user more.
func (f *indexFiles) join(name string, file fs.FileInfo) *openIndex {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.open[name]
	if o != nil && !os.SameFile(o.file, file) {
		f.remove(name, o)
		o = nil
	}
	if o == nil {
		o = &openIndex{file: file}
		o.timer = time.AfterFunc(time.Hour, func() { f.expire(name, o) })
		if f.open == nil {
			f.open = map[string]*openIndex{}
		}
		f.open[name] = o
	}
	o.timer.Stop() // if it has gone off, it will find the user
	o.users++
	return o
}

// leave ends one use. What is not to be kept is closed by its last user.
func (f *indexFiles) leave(name string, o *openIndex) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o.users--; o.users > 0 {
		return
	}
	if f.open[name] == o {
		o.timer.Reset(f.idle)
	} else {
		o.close()
	}
}

func (o *openIndex) close() {
	if o.index != nil {
		_ = o.index.Close() // nothing is written by closing
	}
}

// expire closes an index that nobody uses.
func (f *indexFiles) expire(name string, o *openIndex) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o.users == 0 && f.open[name] == o {
		f.remove(name, o)
	}
}

// remove takes an index off the list, and closes it unless it is in use. f.mu is held.
func (f *indexFiles) remove(name string, o *openIndex) {
	delete(f.open, name)
	o.timer.Stop()
	if o.users == 0 {
		o.close()
	}
}

// drop has an index opened anew by the next that uses it.
func (f *indexFiles) drop(name string, o *openIndex) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open[name] == o {
		f.remove(name, o)
	}
}

// reread has the file read anew by the next that uses it.
func (f *indexFiles) reread(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o := f.open[name]; o != nil {
		f.remove(name, o)
	}
}

// forget closes all indexes that nobody uses.
func (f *indexFiles) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, o := range f.open {
		if o.users == 0 {
			f.remove(name, o)
		}
	}
}

// delete removes an index. Requests that use it end as if it were there.
func (f *indexFiles) delete(name string) error {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	err = os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return refuse(http.StatusNotFound, "there is no index %s", name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if o := f.open[name]; o != nil && err == nil {
		f.remove(name, o)
	}
	return err
}
