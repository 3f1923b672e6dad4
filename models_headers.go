package mullama

import (
	"bufio"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// header is what the list of models needs of a GGUF file. It is kept on disk, because reading it
// takes going through a vocabulary of a hundred thousand words.
type header struct {
	Reader string `json:"reader"` // what read the file: headerReader
	Blob   string `json:"blob"`   // name of the file
	Size   int64  `json:"size"`
	Time   int64  `json:"time"` // when the file was written, in nanoseconds

	Architecture    string   `json:"architecture"`
	Quantization    string   `json:"quantization"`
	Parameters      int64    `json:"parameters"`
	ContextLength   int      `json:"context_length"`
	EmbeddingLength int      `json:"embedding_length"`
	Capabilities    []string `json:"capabilities"`
	Template        bool     `json:"template"` // it has one for chats
}

// headerReader names what reads headers. The number grows when the same file is to be understood in
// another way.
func headerReader() string { return Version() + "/1" }

// headers remembers headers in a file of the store's folder, where Ollama does not look: a line of
// JSON for each, the last one of a blob counts. Lines are only added, by many programs at once; one
// that was cut off counts for nothing, and without the file, or where it cannot be written, all is
// read from the models.
type headers struct {
	mu    sync.Mutex
	known map[string]header // by blob; nil: the file was not read yet
}

const headersFile = ".mullama-headers"

// maxHeaders bounds the file, which grows with models that come and go. Beyond it begins anew.
const maxHeaders = 16 << 20

// of returns the header of a blob, from memory where the file is the same.
func (h *headers) of(dir, path string, file fs.FileInfo) (*header, error) {
	want := header{Reader: headerReader(), Blob: filepath.Base(path), Size: file.Size(),
		Time: file.ModTime().UnixNano()}
	h.mu.Lock()
	if h.known == nil {
		h.known = readHeaders(filepath.Join(dir, headersFile))
	}
	got, ok := h.known[want.Blob]
	h.mu.Unlock()
	if ok && got.Size == want.Size && got.Time == want.Time {
		return &got, nil
	}
	info, err := Inspect(path)
	if err != nil {
		return nil, err
	}
	want.Architecture, want.Quantization = info.Architecture, info.Quantization
	want.Parameters, want.Capabilities = info.Parameters, info.Capabilities
	want.ContextLength, want.EmbeddingLength = info.ContextLength, info.EmbeddingLength
	want.Template = info.Template != ""
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known[want.Blob] = want
	want.keep(filepath.Join(dir, headersFile))
	return &want, nil
}

// readHeaders reads what other programs and times have found.
func readHeaders(file string) map[string]header {
	known := map[string]header{}
	f, err := os.Open(file)
	if err != nil {
		return known
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > maxHeaders {
		os.Remove(file)
	}
	reader := headerReader()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var h header
		if json.Unmarshal(lines.Bytes(), &h) == nil && h.Reader == reader {
			known[h.Blob] = h
		}
	}
	return known
}

// keep adds a line. Who cannot write reads again next time.
func (h *header) keep(file string) {
	line, err := json.Marshal(h)
	if err != nil {
		return
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return
	}
	// The first line break ends a line that was cut off.
	_, _ = f.Write(append(append([]byte{'\n'}, line...), '\n'))
	f.Close()
}
