package bench

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mullama/mullama"
)

// oracleName is the baseline program, built with the native library.
const oracleName = "mullama-oracle"

// throughput runs the group and writes its result.
func throughput(cmd *cobra.Command, o options) error {
	if err := o.check(); err != nil {
		return err
	}
	model, err := describeModel(o.model)
	if err != nil {
		return err
	}
	ours, err := oursProgram(cmd, o.library)
	if err != nil {
		return err
	}
	baseline, err := oracleProgram(o.oracle, o.library)
	if err != nil {
		return err
	}
	m := &meter{
		ours: ours, baseline: baseline, work: o.work, root: os.DirFS("/"), patience: o.patience,
		random: rand.New(rand.NewPCG(o.Seed, o.Seed)),
		say: func(format string, args ...any) {
			fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
		},
	}
	result := newResult("throughput", commandLine(cmd, model.File), model, o.Config)
	m.say("%s: %d quiet rounds of both programs, at most %d in all; load average %.2f",
		model.File, o.Rounds, maxTries*o.Rounds, loadAverage(m.root))
	if result.Rounds, err = m.run(cmd.Context()); err != nil {
		return err
	}
	result.Finished = time.Now().UTC()
	m.conclude(result)
	for _, w := range result.Warnings {
		m.say("warning: %s", w)
	}
	return o.write(cmd.OutOrStdout(), result)
}

// conclude fills what follows from the rounds: rows, versions and warnings.
func (m *meter) conclude(r *Result) {
	r.Warnings = []string{}
	busy := 0
	for _, round := range r.Rounds {
		if m.disturbed(round) {
			busy++
		}
	}
	if len(r.Rounds)-busy < m.work.Rounds {
		r.Warnings = append(r.Warnings, fmt.Sprintf(
			"the machine was busy: other processes used more than %.0f %% of the CPUs in %d of %d"+
				" rounds; all rounds are in the medians", 100*m.work.MaxForeign, busy,
			len(r.Rounds)))
	}
	r.Config = m.work.Config
	r.Rows = rowsOf(r.Config, r.counted())
	first := r.Rounds[0]
	r.Versions = Versions{
		Mullama:  version(),
		Engine:   first.Ours.Header.Engine,
		Baseline: first.Baseline.Header.Engine,
		Go:       runtime.Version(),
	}
	r.SameText = sameText(r.Rounds)
	if !r.SameText {
		r.Warnings = append(r.Warnings,
			"the two sides generated different tokens, so the tg row compares unequal work")
	}
	if n := shortest(r.Rounds); n < m.work.GenerateTokens {
		r.Warnings = append(r.Warnings, fmt.Sprintf(
			"the model ended its text after %d tokens instead of %d: give another --text",
			n+1, m.work.GenerateTokens+1))
	}
}

// sameText tells whether all repetitions of both sides generated the same tokens.
func sameText(rounds []Round) bool {
	sums := map[string]bool{}
	for _, round := range rounds {
		for _, turn := range []Turn{round.Ours, round.Baseline} {
			for _, rep := range turn.Reps {
				sums[rep.Sum] = true
			}
		}
	}
	return len(sums) == 1
}

// shortest returns the fewest tokens any repetition generated after its first.
func shortest(rounds []Round) int {
	least := rounds[0].Ours.Reps[0].Generated
	for _, round := range rounds {
		for _, turn := range []Turn{round.Ours, round.Baseline} {
			for _, rep := range turn.Reps {
				least = min(least, rep.Generated)
			}
		}
	}
	return least
}

// describeModel reads the header and the checksum of a model file. The reading also brings the file
// into the page cache, so that the first round does not pay for the disk.
func describeModel(path string) (ModelFile, error) {
	info, err := mullama.Inspect(path)
	if err != nil {
		return ModelFile{}, err
	}
	file, err := os.Open(path)
	if err != nil {
		return ModelFile{}, err
	}
	defer file.Close() // only read
	sum := sha256.New()
	size, err := io.Copy(sum, file)
	if err != nil {
		return ModelFile{}, fmt.Errorf("checksum of %s: %w", path, err)
	}
	return ModelFile{
		File:         filepath.Base(path),
		SHA256:       hex.EncodeToString(sum.Sum(nil)),
		SizeBytes:    size,
		Architecture: info.Architecture,
		Quantization: info.Quantization,
		Parameters:   info.Parameters,
		Synthetic:    strings.HasPrefix(info.Name, "synthetic "),
	}, nil
}

// oursProgram returns the words that start the hidden command of this very program.
func oursProgram(cmd *cobra.Command, library string) (program, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program's own file: %w", err)
	}
	words := strings.Fields(cmd.Parent().CommandPath())[1:]
	p := append(program{self}, words...)
	p = append(p, "ours")
	if library != "" {
		p = append(p, "--library", library)
	}
	return append(p, "--"), nil
}

// oracleProgram returns the words that start the baseline: the named program, or the one beside the
// native library, which is of the same build.
func oracleProgram(path, library string) (program, error) {
	if path == "" {
		rt, err := mullama.Open(mullama.Options{LibraryDir: library})
		if err != nil {
			return nil, err
		}
		path = filepath.Join(filepath.Dir(rt.Engine().Library), oracleName)
		if err := rt.Close(); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the baseline program %s is missing: run 'make native', or name it"+
			" with --oracle", path)
	} else if err != nil {
		return nil, err
	}
	return program{path, "bench"}, nil
}

// commandLine returns the call with the flags that were set, without this machine's folders.
func commandLine(cmd *cobra.Command, model string) string {
	line := cmd.CommandPath()
	if model != "" {
		line += " --model " + model
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch value := f.Value.String(); f.Name {
		case "model", "json", "time-limit", "oracle", "library", "peer", "callers", "python",
			"gpu-python", "torch", "out", "embedding-model", "llama-quantize":
		case "draft", "quantize":
			line += fmt.Sprintf(" --%s=%s", f.Name, filepath.Base(value))
		case "text":
			line += fmt.Sprintf(" --text %q", value)
		default:
			if _, list := f.Value.(pflag.SliceValue); list {
				value = strings.Trim(value, "[]") // as it is typed
			}
			line += fmt.Sprintf(" --%s=%s", f.Name, value)
		}
	})
	return line
}

// version returns the version of this module and, when the build knows it, the revision, with a +
// for changes on top.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return mullama.Version()
	}
	rev := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			rev = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			rev += "+"
		}
	}
	return strings.TrimSpace(mullama.Version() + " " + rev)
}
