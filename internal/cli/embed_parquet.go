package cli

import (
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/mullama/mullama"
)

// tableRow is the embedding of a text in a file of Parquet.
type tableRow struct {
	Index     int64     `parquet:"index"`
	Embedding []float32 `parquet:"embedding,list"`
	Tokens    int32     `parquet:"tokens"`
	Error     *string   `parquet:"error,optional"`
}

// rowGroup is how many numbers a group of rows has before it is written: 16 MB.
const rowGroup = 4 << 20

// tableWriter writes Parquet. It holds one group of rows.
type tableWriter struct {
	rows    *parquet.GenericWriter[tableRow]
	waiting int // numbers of the group
}

func newTableWriter(w io.Writer) *tableWriter {
	return &tableWriter{rows: parquet.NewGenericWriter[tableRow](w,
		parquet.Compression(&zstd.Codec{}), parquet.CreatedBy("mullama", mullama.Version(), ""))}
}

func (t *tableWriter) write(index int, e *mullama.Embedding) error {
	if e.Rows != nil {
		return usage("this model does not pool, so parquet has no row for it; use --pooling mean")
	}
	row := tableRow{Index: int64(index), Embedding: e.Vector, Tokens: int32(e.Tokens)}
	if e.Err != nil {
		row.Tokens, row.Error = 0, new(e.Err.Error())
	}
	if _, err := t.rows.Write([]tableRow{row}); err != nil {
		return err
	}
	if t.waiting += len(e.Vector) + 1; t.waiting < rowGroup {
		return nil
	}
	t.waiting = 0
	return t.rows.Flush()
}

func (t *tableWriter) end() error { return t.rows.Close() }
