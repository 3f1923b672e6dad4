package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

// reportCommand builds `bench report`.
func reportCommand() *cobra.Command {
	var out string
	var png bool
	cmd := &cobra.Command{
		Use:   "report FILE|FOLDER…",
		Short: "Make tables and plots of results",
		Long: `Make a page of results: of files that were written with --json, and of all of a
folder. Without --out the tables are printed. With --out they are written to a file, and plots
beside it, into the folder plots. Where that file is a page that has places for them, those are
written anew, and the rest of the page stays.`,
		Example: `  mullama bench report bench-report --out bench-report/report.md
  mullama bench report throughput.json latency.json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &mullama.Error{Kind: mullama.ErrInvalidOption,
					Err: errors.New("report needs a result's file, or a folder of them")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if out != "" {
				return writeReport(out, png, args...)
			}
			if png {
				return &mullama.Error{Kind: mullama.ErrInvalidOption,
					Err: errors.New("--png needs --out, which says where plots go")}
			}
			p, err := readPage(args)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write([]byte(p.whole()))
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&out, "out", "", "file to write, and to put a folder of plots beside")
	f.BoolVar(&png, "png", false, "write the plots as PNG as well")
	return cmd
}

// page is what a report is made of.
type page struct {
	results []*Result
	suite   *SuiteReport // of a run of groups; nil
	plots   []plotFile
}

// readPage reads results and what was said of their run.
func readPage(places []string) (*page, error) {
	p := &page{}
	var files []string
	for _, place := range places {
		info, err := os.Stat(place)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, place)
			continue
		}
		inside, err := resultFiles(place)
		if err != nil {
			return nil, err
		}
		files = append(files, inside...)
		if p.suite == nil {
			if p.suite, err = readSuite(filepath.Join(place, suiteFile)); err != nil {
				return nil, err
			}
		}
	}
	var err error
	if p.results, err = readFiles(files); err != nil {
		return nil, err
	}
	if len(p.results) == 0 && p.suite == nil {
		return nil, fmt.Errorf("there is no result in %s", places[0])
	}
	p.plots, err = plotsOf(p.results)
	return p, err
}

// readSuite reads what became of the groups of a run; nil where there is none.
func readSuite(path string) (*SuiteReport, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := &SuiteReport{}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// writeReport writes a page of results, or the places of a page that is there, and its plots.
func writeReport(path string, png bool, places ...string) error {
	p, err := readPage(places)
	if err != nil {
		return err
	}
	text := []byte(p.whole())
	old, err := os.ReadFile(path)
	if err == nil {
		fresh, noPlaces := Refresh(old, p)
		if noPlaces == nil {
			text = fresh
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Join(filepath.Dir(path), plotFolder), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return err
	}
	return p.writePlots(filepath.Join(filepath.Dir(path), plotFolder), png)
}

// writePlots writes the plots into a folder.
func (p *page) writePlots(folder string, png bool) error {
	for _, plot := range p.plots {
		path := filepath.Join(folder, plot.name)
		if err := os.WriteFile(path+".svg", plot.svg, 0o644); err != nil {
			return err
		}
		if !png {
			continue
		}
		data, err := plot.png()
		if err != nil {
			return err
		}
		if err := os.WriteFile(path+".png", data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
