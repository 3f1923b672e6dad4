package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
	"github.com/mullama/mullama/internal/modelfile"
)

const createLong = `Make a model as a Modelfile says, in the daemon's store.

FROM names a model, which is pulled if it is not there, GGUF files, or a folder with a model in
safetensors. Without -f the file is
Mullamafile or Modelfile in this folder; - is stdin. Paths in it are relative to its folder. Files
are sent to the daemon; one on this machine shares or links those on the disk of its store, as
'mullama import' does.`

const createExample = `  mullama create brief -f Modelfile
  printf 'FROM smollm2\nSYSTEM Be brief.' | mullama create brief -f -`

// createCommand builds `mullama create`.
func (a *app) createCommand() *cobra.Command {
	c := &creation{app: a}
	cmd := &cobra.Command{
		Use:     "create MODEL",
		Short:   "Make a model from a Modelfile",
		Long:    createLong,
		Example: createExample,
		Args:    exactly(1, "a name for the model"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.run(cmd.Context(), args[0])
		},
	}
	cmd.Flags().StringVarP(&c.file, "file", "f", "", "`FILE` with the Modelfile; - is stdin")
	cmd.Flags().StringVarP(&c.quantize, "quantize", "q", "",
		"`TYPE` to quantise to, as Q4_K_M; the model must be in F16, BF16 or F32")
	cmd.Flags().Bool("experimental", false,
		"changes nothing: folders with safetensors are converted anyway")
	cmd.Flags().StringVar(&c.draftQuantize, "draft-quantize", "",
		"`TYPE` to quantise the model of DRAFT to")
	cmd.Flags().StringVar(&c.imatrix, "imatrix", "",
		"`FILE` with an importance matrix to quantise by, of llama-imatrix")
	defineInsecure(cmd, &c.insecure)
	defineJSON(cmd, &c.json, "print one JSON object per step")
	return cmd
}

// creation is one run of create.
type creation struct {
	app                     *app
	file, imatrix           string
	quantize, draftQuantize string
	insecure, json          bool

	dir    string // of the Modelfile
	client *api.Client
	view   *transferView
}

func (c *creation) run(ctx context.Context, name string) error {
	recipe, err := c.read()
	if err != nil {
		return err
	}
	request := &api.CreateRequest{
		Model: name, Template: recipe.Template, System: recipe.System, License: recipe.Licenses,
		Parameters: recipe.Parameters, Renderer: recipe.Renderer, Parser: recipe.Parser,
		Requires: recipe.Requires, Quantize: c.quantize, Insecure: c.insecure,
		DraftQuantize: c.draftQuantize,
		ThinkStart:    recipe.Extras.ThinkStart, ThinkEnd: recipe.Extras.ThinkEnd,
		ToolFormat: recipe.Extras.ToolFormat, Capabilities: recipe.Extras.Capabilities,
		Author: recipe.Extras.Author,
	}
	for _, m := range recipe.Messages {
		request.Messages = append(request.Messages, api.Message{Role: m.Role, Content: m.Content})
	}
	if c.client, err = c.app.daemon(ctx); err != nil {
		return err
	}
	ctx, stop := c.app.interruptible(ctx)
	defer stop()
	c.view = c.app.newTransferView()
	defer c.view.end()
	if err := c.parts(ctx, recipe, request); err != nil {
		return err
	}
	c.view.end()
	_, err = c.app.follow(ctx, c.client.Create(ctx, request), c.json)
	return err
}

// read reads the Modelfile.
func (c *creation) read() (*modelfile.Recipe, error) {
	from := c.app.stdin
	if c.file != "-" {
		f, err := c.open()
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from, c.dir = f, filepath.Dir(f.Name())
	}
	parsed, err := modelfile.Parse(from)
	if err == nil {
		var recipe *modelfile.Recipe
		if recipe, err = parsed.Recipe(); err == nil {
			return recipe, nil
		}
	}
	return nil, usage("%s", err)
}

// open opens the Modelfile that was named, or the one in this folder.
func (c *creation) open() (*os.File, error) {
	if c.file != "" {
		f, err := os.Open(c.file)
		if err != nil {
			return nil, fmt.Errorf("read the Modelfile: %w", err)
		}
		return f, nil
	}
	for _, name := range []string{"Mullamafile", "Modelfile", "mullamafile", "modelfile"} {
		if f, err := os.Open(name); err == nil {
			return f, nil
		}
	}
	return nil, (&failure{code: exitNotFound, message: "there is no Modelfile in this folder"}).
		withHint("name it with -f")
}

// parts sorts what the Modelfile names into models and files, and sends the files to the daemon.
func (c *creation) parts(
	ctx context.Context, recipe *modelfile.Recipe, request *api.CreateRequest,
) error {
	for i, part := range append(recipe.From, recipe.Projectors...) {
		if sent, err := c.sendFolder(ctx, &part, request); sent || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		path, err := c.path(&part)
		if err != nil {
			return err
		}
		if path == "" {
			if i > 0 {
				return wrongPart(&part, "%s is no file here; only the first FROM may name a model",
					part.Name)
			}
			request.From = part.Name
			continue
		}
		if err := c.send(ctx, &part, path, recipe.Digest, &request.Files); err != nil {
			return err
		}
		recipe.Digest = "" // is that of the first one
	}
	for _, part := range recipe.Adapters {
		name, scale := c.splitScale(part.Name)
		part.Name = name
		if err := c.sendFile(ctx, &part, &request.Adapters); err != nil {
			return err
		}
		if scale != nil {
			if request.AdapterScales == nil {
				request.AdapterScales = map[string]float32{}
			}
			request.AdapterScales[filepath.Base(c.onDisk(&part))] = *scale
		}
	}
	for _, part := range recipe.Drafts {
		if err := c.sendFile(ctx, &part, &request.DraftFiles); err != nil {
			return err
		}
	}
	if err := c.sendMatrix(ctx, request); err != nil {
		return err
	}
	if recipe.Digest != "" {
		return usage("DIGEST needs a file in FROM; that of a model is in its manifest")
	}
	return nil
}

// sendFile sends the file that a part names, which must be one.
func (c *creation) sendFile(
	ctx context.Context, part *modelfile.Part, into *map[string]string,
) error {
	path, err := c.path(part)
	if err != nil {
		return err
	}
	if path == "" {
		return wrongPart(part, "there is no file %s", part.Name)
	}
	return c.send(ctx, part, path, "", into)
}

// sendMatrix sends the importance matrix, if one is named.
func (c *creation) sendMatrix(ctx context.Context, request *api.CreateRequest) error {
	if c.imatrix == "" {
		return nil
	}
	if c.quantize == "" {
		return usage("--imatrix needs --quantize: it says which weights to quantise with care")
	}
	var sent map[string]string
	err := c.sendAs(ctx, &modelfile.Part{}, c.imatrix, "matrix", "", &sent)
	request.Imatrix = sent["matrix"]
	return err
}

// splitScale is splitScale for a file beside the Modelfile.
func (c *creation) splitScale(text string) (name string, scale *float32) {
	if path, err := c.path(&modelfile.Part{Name: text}); err == nil && path != "" {
		return text, nil
	}
	return splitScale(text)
}

// wrongPart is an error about a line of the Modelfile.
func wrongPart(p *modelfile.Part, format string, args ...any) error {
	return usage("%s", (&modelfile.Error{Line: p.Line, Column: p.Column,
		Message: fmt.Sprintf(format, args...)}).Error())
}

// onDisk is where the file would be that a part names.
func (c *creation) onDisk(p *modelfile.Part) string {
	name := strings.TrimPrefix(p.Name, "file:")
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			name = filepath.Join(home, rest)
		}
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(c.dir, name)
	}
	return name
}

// publishedFiles are the files of a model in safetensors, as patterns.
var publishedFiles = []string{"*.safetensors", "config.json", "tokenizer.json",
	"tokenizer_config.json", "chat_template.jinja", "1_Pooling/config.json", "modules.json",
	"config_sentence_transformers.json", "artifact.metadata", "*_Dense/config.json",
	"*_Dense/model.safetensors"}

// sendFolder sends the files of a model in safetensors, if a part names the folder of one.
func (c *creation) sendFolder(
	ctx context.Context, p *modelfile.Part, request *api.CreateRequest,
) (sent bool, err error) {
	folder := c.onDisk(p)
	weights, err := filepath.Glob(filepath.Join(folder, "*.safetensors"))
	if err != nil || len(weights) == 0 {
		return false, nil //nolint:nilerr // a name that is no pattern names no folder
	}
	var names []string
	for _, pattern := range publishedFiles {
		found, err := fs.Glob(os.DirFS(folder), pattern)
		if err != nil {
			return false, err
		}
		names = append(names, found...)
	}
	for _, name := range names {
		err := c.sendAs(ctx, p, filepath.Join(folder, name), name, "", &request.Files)
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// path finds the file that a part names. It is "" for the name of a model.
func (c *creation) path(p *modelfile.Part) (string, error) {
	name := c.onDisk(p)
	info, err := os.Stat(name)
	switch {
	case err == nil && info.IsDir():
		if !isFilePath(p.Name) {
			return "", nil // a folder that has the name of a model
		}
		return "", wrongPart(p, "%s is a folder without a model in safetensors", p.Name)
	case err == nil:
		return name, nil
	case isFilePath(p.Name):
		return "", &failure{code: exitNotFound, message: wrongPart(p, "there is no file %s",
			p.Name).Error()}
	}
	return "", nil
}

// isFilePath reports whether a name can only be that of a file.
func isFilePath(name string) bool {
	for _, prefix := range []string{"/", "./", "../", "~/", "file:", `.\`, `..\`} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	lower := strings.ToLower(name)
	return name == "." || name == ".." || !strings.HasPrefix(name, "hf:") &&
		(strings.HasSuffix(lower, ".gguf") || strings.HasSuffix(lower, ".safetensors"))
}

// send makes a file a blob of the daemon, and puts its digest into a map.
func (c *creation) send(
	ctx context.Context, p *modelfile.Part, path, want string, into *map[string]string,
) error {
	return c.sendAs(ctx, p, path, filepath.Base(path), want, into)
}

// sendAs is send under another name.
func (c *creation) sendAs(
	ctx context.Context, p *modelfile.Part, path, base, want string, into *map[string]string,
) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	sum := sha256.New()
	reading := &countedReader{ctx: ctx, r: file, view: c.view,
		part: api.ProgressResponse{Status: "reading " + base, Total: info.Size()}}
	if _, err := io.Copy(sum, reading); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	digest := "sha256:" + hex.EncodeToString(sum.Sum(nil))
	if want != "" && want != digest {
		return wrongPart(p, "%s has the digest %s, and DIGEST says %s", p.Name, digest, want)
	}
	if *into == nil {
		*into = map[string]string{}
	}
	if _, taken := (*into)[base]; taken {
		return wrongPart(p, "two files are named %s", base)
	}
	(*into)[base] = digest
	has, err := c.client.HasBlob(ctx, digest)
	if err == nil && !has && c.link(path, digest, info) {
		has, err = c.client.HasBlob(ctx, digest)
	}
	if err != nil || has {
		return daemonError(err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	sending := &countedReader{ctx: ctx, r: file, view: c.view,
		part: api.ProgressResponse{Status: "sending " + base, Total: info.Size()}}
	err = c.client.AddBlob(ctx, digest, sending)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return daemonError(err)
}

// link makes a file a blob of the store without sending it, where the daemon is one of this
// user on this machine, and both are on one disk.
func (c *creation) link(path, digest string, before os.FileInfo) bool {
	h, err := parseHost(c.app.env.host)
	if err != nil || !h.isLocal() {
		return false
	}
	daemon, err := c.app.place(h).Running()
	if err != nil || daemon == nil || daemon.Models == "" {
		return false
	}
	return mullama.LinkBlob(daemon.Models, path, digest, before) == nil
}

// countedReader shows how far it was read.
type countedReader struct {
	ctx  context.Context
	r    io.Reader
	view *transferView
	part api.ProgressResponse
}

func (c *countedReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.part.Completed += int64(n)
	if n > 0 || !errors.Is(err, io.EOF) {
		c.view.show(&c.part)
	}
	return n, err
}
