package bench

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

// condition is one fact about the machine that measurements depend on.
type condition struct {
	What string `json:"what"`
	Is   string `json:"is"`
	// Where a measurement that others are to repeat wants it otherwise: how, and what sets it.
	Wants string `json:"wants,omitempty"`
	Fix   string `json:"fix,omitempty"`
}

// envCommand builds `bench env`.
func envCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Describe this machine, and what a measurement wants otherwise",
		Long: `Print what speed depends on: processor, memory, kernel, clocks, GPUs, versions, and
how much other programs use the processors. What a measurement that others are to repeat wants
otherwise is said, with the command that sets it. Nothing is changed.`,
		Example: "  mullama bench env",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := conditions(cmd.Context(), os.DirFS("/"))
			if err != nil {
				return err
			}
			if asJSON {
				data, err := encode(all)
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(data)
				return err
			}
			return printConditions(cmd.OutOrStdout(), all)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// conditions reads all facts.
func conditions(ctx context.Context, root fs.FS) ([]condition, error) {
	m := readMachine(root)
	all := []condition{
		{What: "processor", Is: orUnknown(m.CPU)},
		{What: "instruction sets", Is: orUnknown(strings.Join(m.Features, " "))},
		{What: "cores", Is: fmt.Sprint(m.Cores)},
		{What: "memory", Is: fmt.Sprintf("%.1f GiB, %.1f available",
			float64(m.MemoryBytes)/(1<<30), float64(available(root))/(1<<30))},
		{What: "system", Is: strings.TrimSpace(m.OS + " " + m.Arch + " " + m.Kernel)},
		virtual(m), clock(root), governor(m), turbo(root), otherPrograms(ctx, root),
	}
	all = append(all, nvidia(ctx)...)
	versions, err := engineVersions()
	return append(all, versions...), err
}

func orUnknown(text string) string {
	if text == "" {
		return "not known"
	}
	return text
}

// available is the memory that programs can have.
func available(root fs.FS) int64 {
	return 1024 * fieldKB(read(root, "proc/meminfo"), "MemAvailable")
}

// clock is that of the first core, now, and the highest it has.
func clock(root fs.FS) condition {
	const where = "sys/devices/system/cpu/cpu0/cpufreq/"
	megahertz := func(file string) float64 { // of kHz
		n, _ := strconv.ParseFloat(strings.TrimSpace(string(read(root, where+file))), 64)
		return n / 1000
	}
	now := megahertz("scaling_cur_freq")
	if now == 0 {
		now, _ = strconv.ParseFloat(field(read(root, "proc/cpuinfo"), "cpu MHz"), 64)
	}
	c := condition{What: "clock", Is: "not known"}
	switch most := megahertz("cpuinfo_max_freq"); {
	case now > 0 && most > 0:
		c.Is = fmt.Sprintf("%.0f of %.0f MHz", now, most)
	case now > 0:
		c.Is = fmt.Sprintf("%.0f MHz", now)
	}
	return c
}

func virtual(m Machine) condition {
	c := condition{What: "virtual machine", Is: "no"}
	if m.Virtual {
		c.Is, c.Wants = "yes", "a machine of one's own: a host may take time and change clocks"
	}
	return c
}

func governor(m Machine) condition {
	c := condition{What: "governor", Is: orUnknown(m.Governor)}
	if m.Governor != "" && m.Governor != "performance" {
		c.Wants, c.Fix = "performance", "sudo cpupower frequency-set -g performance"
	}
	return c
}

// turbo tells whether clocks rise while there is room, as they do for a short time.
func turbo(root fs.FS) condition {
	const where = "sys/devices/system/cpu/"
	c := condition{What: "turbo", Is: "not known"}
	for _, s := range []struct{ file, on, off string }{
		{where + "cpufreq/boost", "1", "0"}, {where + "intel_pstate/no_turbo", "0", "1"},
	} {
		switch strings.TrimSpace(string(read(root, s.file))) {
		case s.off:
			c.Is = "off"
		case s.on:
			c.Is, c.Wants = "on", "off, so that clocks stay"
			c.Fix = fmt.Sprintf("echo %s | sudo tee /%s", s.off, s.file)
		}
	}
	return c
}

func otherPrograms(ctx context.Context, root fs.FS) condition {
	share := foreignShare(ctx, root)
	c := condition{What: "other programs", Is: fmt.Sprintf(
		"%.0f %% of the CPUs, load average %.2f", 100*share, loadAverage(root))}
	if share > mostForeign {
		c.Wants = fmt.Sprintf("at most %.0f %%: end them, or wait", 100*mostForeign)
	}
	return c
}

// nvidia asks nvidia-smi, if there is one.
func nvidia(ctx context.Context) []condition {
	out, err := exec.CommandContext(ctx, "nvidia-smi", "--query-gpu=index,name,driver_version,"+
		"persistence_mode,clocks.sm,clocks.max.sm,utilization.gpu,memory.used",
		"--format=csv,noheader,nounits").Output()
	if err != nil {
		return []condition{{What: "NVIDIA GPU", Is: "none that nvidia-smi tells of"}}
	}
	return nvidiaConditions(string(out))
}

// nvidiaConditions reads a line for each GPU.
func nvidiaConditions(lines string) []condition {
	var all []condition
	for line := range strings.Lines(lines) {
		f := strings.Split(line, ",")
		if len(f) != 8 {
			continue
		}
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
		c := condition{What: "NVIDIA GPU " + f[0], Is: fmt.Sprintf(
			"%s, driver %s, clock %s of %s MHz, persistence mode %s, %s %% used, %s MiB taken",
			f[1], f[2], f[4], f[5], strings.ToLower(f[3]), f[6], f[7])}
		if f[3] != "Enabled" {
			c.Wants = "persistence mode, and a fixed clock"
			c.Fix = "sudo nvidia-smi -pm 1 && sudo nvidia-smi --lock-gpu-clocks=" + f[5]
		}
		if used, _ := strconv.ParseFloat(f[6], 64); used > 100*mostForeign {
			c.Wants = strings.TrimPrefix(c.Wants+", and no other program on it", ", and ")
		}
		all = append(all, c)
	}
	return all
}

// engineVersions opens the engine, which knows its own.
func engineVersions() ([]condition, error) {
	all := []condition{{What: "Mullama", Is: version()}, {What: "Go", Is: runtime.Version()}}
	rt, err := mullama.Open(mullama.Options{})
	if err != nil {
		return append(all, condition{What: "llama.cpp", Is: "not known", Wants: err.Error(),
			Fix: "make native"}), nil
	}
	engine, devices := rt.Engine(), rt.Devices()
	all = append(all, condition{What: "llama.cpp", Is: engine.Version},
		condition{What: "its kernels for", Is: orUnknown(engine.System)})
	for _, g := range gpusOf(devices) {
		all = append(all, condition{What: "device " + g.Name, Is: fmt.Sprintf("%s, %.1f GiB",
			g.Description, float64(g.MemoryBytes)/(1<<30))})
	}
	return all, rt.Close()
}

// printConditions prints the facts, and then what is to be otherwise.
func printConditions(out io.Writer, all []condition) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, c := range all {
		fmt.Fprintf(w, "%s\t%s\n", c.What, c.Is)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	var b strings.Builder
	for _, c := range all {
		if c.Wants == "" {
			continue
		}
		fmt.Fprintf(&b, "  %s: %s\n", c.What, c.Wants)
		if c.Fix != "" {
			fmt.Fprintf(&b, "    %s\n", c.Fix)
		}
	}
	text := "\nA measurement that others are to repeat wants otherwise:\n" + b.String()
	if b.Len() == 0 {
		text = "\nNothing stands in the way of a measurement that others are to repeat.\n"
	}
	_, err := io.WriteString(out, text)
	return err
}
