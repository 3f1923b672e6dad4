package mullama

import (
	"context"
	"fmt"
	"os"
	"unicode/utf8"

	"github.com/mullama/mullama/internal/llama"
	"github.com/mullama/mullama/internal/maxsim"
)

// VectorKind says how an index keeps the numbers of token vectors.
type VectorKind int

// The kinds of vectors: floats of 4 bytes; half floats of 2, which change scores in their fifth
// digit; and bytes with a scale for each token, which change them in their third.
const (
	VectorsF32  VectorKind = VectorKind(llama.VectorF32)
	VectorsF16  VectorKind = VectorKind(llama.VectorF16)
	VectorsInt8 VectorKind = VectorKind(llama.VectorInt8)
)

func (k VectorKind) String() string {
	switch k {
	case VectorsF32:
		return "f32"
	case VectorsF16:
		return "f16"
	case VectorsInt8:
		return "int8"
	}
	return fmt.Sprintf("VectorKind(%d)", int(k))
}

// ParseVectorKind reads what String writes.
func ParseVectorKind(text string) (VectorKind, error) {
	for _, k := range []VectorKind{VectorsF32, VectorsF16, VectorsInt8} {
		if k.String() == text {
			return k, nil
		}
	}
	return 0, invalid("", fmt.Sprintf("vectors are %.40q; use f32, f16 or int8", text))
}

// MarshalText writes what String does, and nothing for what is no kind.
func (k VectorKind) MarshalText() ([]byte, error) {
	if _, err := ParseVectorKind(k.String()); err != nil {
		return nil, nil
	}
	return []byte(k.String()), nil
}

// UnmarshalText reads the name of a kind.
func (k *VectorKind) UnmarshalText(text []byte) (err error) {
	*k, err = ParseVectorKind(string(text))
	return err
}

// IndexOptions are for [OpenIndex].
type IndexOptions struct {
	// Dim is how many numbers a vector has. With 0 the index must be there already.
	Dim int
	// Vectors is how a new index keeps them; one that is there stays as it is.
	Vectors VectorKind
	// Model says in words where vectors come from, such as what [ModelLabel] does. A new index
	// keeps it, and one that has another is not opened. "": any.
	Model string
	// InMemory reads the file into memory, and does not map it. That takes time and memory of its
	// size, and then it does no harm when another program cuts the file.
	InMemory bool
	// Threads is how many threads a search uses. 0: as many as Go runs at once.
	Threads int
	// Device is the name of a device that searches, such as "CUDA0"; Runtime.Devices lists them.
	// Its memory then holds the documents as half floats, which OpenIndex brings there; what is
	// added later comes there with the next search. Results are the same to the last bit. An index
	// that is too large for the device is an error, and so is a search with a Probe. "": threads of
	// this machine search.
	Device string
	// LibraryDir is the folder of the native library, as in [Options].
	LibraryDir string
}

// Index is a file of documents that are found by late interaction, as ColBERT does: a document and
// a query are a vector for each of their tokens, such as the Rows of an embedding without pooling,
// and the score of a document is the sum, over the tokens of the query, of the largest product with
// a token of the document. Vectors are taken as they are; where they have the length 1, a product
// is the cosine of an angle.
//
// The file is mapped into memory, so opening it takes no time, and what is searched often stays in
// memory. Other processes may search and add at the same time. All methods may be called from
// any goroutine at any time. Vectors that are passed in are not kept.
type Index struct{ index *maxsim.Index }

// IndexDocument is a document to add. ID is what a search returns: any text that no other document
// of the index has. Vectors has a row for each token.
type IndexDocument struct {
	ID      string
	Vectors [][]float32
}

// IndexResult is a document that was found.
type IndexResult struct {
	ID    string
	Score float32
}

// IndexInfo says what is in an index.
type IndexInfo struct {
	Model     string     `json:"model"` // what the first to open it said of the vectors
	Dim       int        `json:"dimensions"`
	Vectors   VectorKind `json:"vectors"`
	Documents int        `json:"documents"`
	Tokens    int        `json:"tokens"`
	Bytes     int64      `json:"bytes"` // of the file
	// Centroids is how many groups of tokens Train made, Trained how many documents it saw.
	Centroids int `json:"groups"`
	Trained   int `json:"grouped_documents"`
	// DeviceBytes is what the documents take on the device that searches.
	DeviceBytes int64 `json:"-"`
}

// SearchOptions say how a search goes about it. The zero value looks at all documents.
type SearchOptions struct {
	// Probe, where the index has been trained, is how many groups of similar tokens are looked at
	// for each token of a query: 4 finds most of what there is, more find more. 0: all documents.
	Probe int
	// Candidates is how many of the documents in those groups are scored. 0: the larger of 1,024
	// and ten times the results.
	Candidates int
}

// OpenIndex opens an index, or makes an empty one if there is none at path and Dim is set. Close
// it.
func OpenIndex(path string, o IndexOptions) (*Index, error) {
	const op = "open index"
	if o.InMemory {
		if err := fitsMemory(op, path); err != nil {
			return nil, err
		}
	}
	lib, err := llama.Open(o.LibraryDir)
	if err != nil {
		return nil, wrap(op, err)
	}
	x, err := maxsim.Open(lib, path, maxsim.Options{
		Dim: o.Dim, Kind: llama.VectorKind(o.Vectors), Threads: o.Threads, Label: o.Model,
		InMemory: o.InMemory, Device: o.Device,
	})
	if err != nil {
		return nil, wrap(op, err)
	}
	return &Index{x}, nil
}

// fitsMemory refuses to read a file that is larger than the free memory.
func fitsMemory(op, path string) error {
	file, err := os.Stat(path)
	if free := freeMemory(); err == nil && free > 0 && uint64(file.Size()) > free {
		return &Error{Kind: ErrOutOfMemory, Op: op,
			Err: fmt.Errorf("index %s has %d MB, and %d MB of memory are free", path,
				file.Size()>>20, free>>20),
			Hint: "search it with mullama index search, which leaves it on the disk"}
	}
	return nil
}

// ModelLabel names a model for [IndexOptions].Model: the same for each quantization of it.
func ModelLabel(info *Info) string {
	name := info.Name
	if name == "" {
		name = "a model without a name"
	}
	label := fmt.Sprintf("%s (%s, %d numbers)", name, info.Architecture, info.EmbeddingLength)
	if end := 200; len(label) > end {
		for !utf8.RuneStart(label[end]) {
			end--
		}
		label = label[:end]
	}
	return label
}

// Close waits for the calls under way and gives the file back.
func (x *Index) Close() error { return wrap("close index", x.index.Close()) }

// Add appends documents: all of them, or none if there is an error. An id that the index has, or
// that is given twice, is one. They are on the disk when Add returns, which makes many calls of one
// document each slow.
func (x *Index) Add(ctx context.Context, docs []IndexDocument) error {
	info, err := x.index.Info()
	if err != nil {
		return wrap("add to index", err)
	}
	flat := make([]maxsim.Document, len(docs))
	for i, d := range docs {
		vectors, err := flatten(d.Vectors, info.Dim)
		if err != nil {
			return invalid("add to index", fmt.Sprintf("document %q: %v", d.ID, err))
		}
		flat[i] = maxsim.Document{ID: d.ID, Vectors: vectors}
	}
	return wrap("add to index", x.index.Add(ctx, flat))
}

// Search returns the k best documents for each query, best first; of equal scores the one that was
// added first. A query has a row for each token. Queries in one call share the reading of the file.
func (x *Index) Search(ctx context.Context, queries [][][]float32, k int,
	o SearchOptions) ([][]IndexResult, error) {
	info, err := x.index.Info()
	if err != nil {
		return nil, wrap("search", err)
	}
	flat := make([][]float32, len(queries))
	for i, q := range queries {
		if flat[i], err = flatten(q, info.Dim); err != nil {
			return nil, invalid("search", fmt.Sprintf("query %d: %v", i, err))
		}
	}
	found, err := x.index.Search(ctx, flat, k, maxsim.SearchOptions(o))
	if err != nil {
		return nil, wrap("search", err)
	}
	all := make([][]IndexResult, len(found))
	for i, results := range found {
		all[i] = make([]IndexResult, len(results))
		for j, r := range results {
			all[i][j] = IndexResult{r.ID, r.Score}
		}
	}
	return all, nil
}

// Train groups the tokens of all documents for searches with [SearchOptions].Probe, in as many
// groups as given; 0 chooses. It reads all of the index, and nobody else can add until it is done.
// Documents that are added later are looked at by every search until the next Train.
func (x *Index) Train(ctx context.Context, centroids int) error {
	return wrap("train index", x.index.Train(ctx, maxsim.TrainOptions{Centroids: centroids}))
}

// Contains reports whether a document is in the index.
func (x *Index) Contains(id string) (bool, error) {
	found, err := x.index.Contains(id)
	return found, wrap("look into index", err)
}

// Info says what is in the index now.
func (x *Index) Info() (IndexInfo, error) {
	i, err := x.index.Info()
	return indexInfo(i), wrap("look into index", err)
}

func indexInfo(i maxsim.Info) IndexInfo {
	return IndexInfo{Dim: i.Dim, Vectors: VectorKind(i.Kind), Model: i.Label,
		Documents: i.Documents, Tokens: i.Tokens, Bytes: i.Bytes, Centroids: i.Centroids,
		Trained: i.Trained, DeviceBytes: i.DeviceBytes}
}

// InspectIndex says what is in the file of an index. It reads no more than its header, and needs no
// native library.
func InspectIndex(path string) (IndexInfo, error) {
	i, err := maxsim.Inspect(path)
	return indexInfo(i), wrap("look into index", err)
}

// Verify reads the whole file and compares its checksums. Searches do so for what they read for the
// first time.
func (x *Index) Verify() error { return wrap("verify index", x.index.Verify()) }

// MaxSim returns the score of a document for a query, each with a row for each token, without an
// index.
func MaxSim(query, doc [][]float32) (float32, error) {
	lib, err := llama.Open("")
	if err != nil {
		return 0, wrap("score", err)
	}
	return maxSimRows(lib, query, doc)
}

func maxSimRows(lib *llama.Library, query, doc [][]float32) (float32, error) {
	const op = "score"
	if len(query) == 0 || len(doc) == 0 {
		return 0, invalid(op, "a query or document without tokens has no score")
	}
	dim := len(query[0])
	q, err := flatten(query, dim)
	if err != nil {
		return 0, invalid(op, fmt.Sprintf("query: %v", err))
	}
	d, err := flatten(doc, dim)
	if err != nil {
		return 0, invalid(op, fmt.Sprintf("document: %v", err))
	}
	score, err := maxsim.MaxSim(lib, dim, q, d)
	return score, wrap(op, err)
}

// flatten puts the rows of tokens one after the other.
func flatten(rows [][]float32, dim int) ([]float32, error) {
	all := make([]float32, 0, len(rows)*dim)
	for i, row := range rows {
		if len(row) != dim {
			return nil, fmt.Errorf("token %d has %d numbers, not %d", i, len(row), dim)
		}
		all = append(all, row...)
	}
	return all, nil
}
