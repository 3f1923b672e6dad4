package mullama

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// quantize puts a quantised model in place of the one that there is.
func (b *builder) quantize(ctx context.Context) (err error) {
	at, o := b.modelLayer(), &QuantizeOptions{Type: b.o.Quantize}
	was := b.layers[at].Digest
	if b.o.Imatrix != "" {
		if o.Imatrix, err = b.s.BlobPath(b.o.Imatrix); err == nil {
			_, err = os.Stat(o.Imatrix)
		}
		if err != nil {
			return invalid(b.op, fmt.Sprintf("there is no blob %.80q with an importance matrix",
				b.o.Imatrix))
		}
	}
	if b.config.FileType, err = b.quantizeLayer(ctx, at, o); err != nil {
		return err
	}
	if b.converted {
		b.draft.Drop(was) // nobody asked for it
	}
	return nil
}

// quantizeLayer puts a quantised file in place of that of a layer, and returns its type.
func (b *builder) quantizeLayer(ctx context.Context, at int, o *QuantizeOptions) (string, error) {
	path, err := b.draft.Path(b.layers[at].Digest)
	if err != nil {
		return "", err
	}
	q, err := b.r.newQuantizing(b.op, path, o)
	if o.Imatrix != "" && err != nil && strings.Contains(err.Error(), o.Imatrix) {
		return "", invalid(b.op, strings.ReplaceAll(err.Error(), o.Imatrix, "the file"))
	}
	if err != nil {
		return "", err
	}
	status := fmt.Sprintf("quantizing %s model to %s", q.from, q.params.Type)
	b.o.tell(Progress{Status: status})
	size := q.info.SizeBytes
	q.params.Progress = func(done, all int) {
		b.o.tell(Progress{Status: status, Digest: b.layers[at].Digest, Total: size,
			Completed: size * int64(done) / int64(max(all, 1))})
	}
	l, err := b.draft.AddWritten(ctx, b.layers[at].MediaType, func(path string) error {
		return q.write(ctx, path)
	})
	if err != nil {
		return "", err
	}
	b.o.tell(Progress{Status: status, Digest: b.layers[at].Digest, Total: size, Completed: size})
	l.From = b.layers[at].From
	b.fresh[l.Digest] = true
	b.layers[at] = l
	return q.params.Type, nil
}
