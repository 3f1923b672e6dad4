package cli

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

// The states of a finding.
const (
	stateOK      = "ok"
	stateMissing = "missing" // needed, and not there
	stateWrong   = "wrong"   // there, and has to be mended
	stateAbsent  = "absent"  // not there, and only needed for building or testing
	stateUnused  = "unused"  // there, but it cannot be used here
)

// finding is one thing doctor looked at.
type finding struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"` // what to run
}

// section is a group of findings.
type section struct {
	Title    string    `json:"title"`
	Findings []finding `json:"findings"`
}

// doctorReport is everything doctor found.
type doctorReport struct {
	OK       bool      `json:"ok"`
	Sections []section `json:"sections"`
}

// doctorCommand builds `mullama doctor`.
func (a *app) doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what is installed, what is missing, and what to do about it",
		Long: "Look at the native library, the devices, the settings, the daemon, the model\n" +
			"store, the cache folder and the tools for building. The exit code is 1 when\n" +
			"something is wrong, or missing and needed.",
		Args: nothing,
		RunE: func(*cobra.Command, []string) error { return a.doctor(asJSON) },
	}
	defineJSON(cmd, &asJSON, "print JSON")
	return cmd
}

// doctor prints the report.
func (a *app) doctor(asJSON bool) error {
	report := a.examine()
	if asJSON {
		if err := a.printJSON(report); err != nil {
			return err
		}
	} else {
		a.printReport(report)
	}
	if !report.OK {
		return &failure{code: exitFailed}
	}
	return nil
}

// examine looks at everything.
func (a *app) examine() doctorReport {
	settings := a.examineSettings() // first: the others heed it
	library, devices := a.examineEngine()
	report := doctorReport{OK: true, Sections: []section{
		{"Engine", library},
		{"Devices", devices},
		{"Machine", examineMachine()},
		{"Settings", []finding{settings}},
		{"Daemon", a.examineDaemon()},
		{"Models", a.examineStore()},
		{"Cache", examineCache(a.env.cacheDir)},
		{"Tools", examineTools(a.env.compiler, library[0].State != stateOK)},
	}}
	for _, s := range report.Sections {
		for _, f := range s.Findings {
			report.OK = report.OK && f.State != stateMissing && f.State != stateWrong
		}
	}
	return report
}

// examineEngine opens the native library and asks it for its devices. The first finding is the
// library itself.
func (a *app) examineEngine() (library, devices []finding) {
	engine, err := a.openEngine()
	if err != nil {
		fix := hint(err)
		if fix == "" {
			fix = "make native"
		}
		return []finding{
			{Name: "native library", State: stateMissing, Detail: err.Error(), Fix: fix},
		}, nil
	}
	defer engine.Close()
	info := engine.Engine()
	library = []finding{
		{Name: "native library", State: stateOK, Detail: info.Library},
		{Name: "engine", State: stateOK, Detail: info.Version},
		{Name: "built for", State: stateOK, Detail: strings.TrimSpace(info.System)},
	}
	for _, device := range engine.Devices() {
		devices = append(
			devices,
			finding{Name: device.Name, State: stateOK, Detail: describe(device)},
		)
	}
	plugins := engine.Plugins()
	for _, p := range plugins {
		library = append(library, pluginFinding(p))
	}
	devices = append(devices, examineDriver(nvidiaDriver, engine.Devices(), plugins)...)
	for _, server := range a.env.rpcServers() {
		devices = append(devices, examineRPC(engine, server))
	}
	return library, devices
}

// pluginFinding says what became of a plug-in. One that cannot be used is no fault of the program:
// the same package is for machines with and without such a GPU.
func pluginFinding(p mullama.Plugin) finding {
	f := finding{Name: p.Name + " plug-in", State: stateOK,
		Detail: fmt.Sprintf("%d devices", p.Devices)}
	switch {
	case p.Problem != "":
		f.State, f.Detail = stateUnused, p.Problem
		f.Fix = "install the driver of the GPU, if there is one"
	case p.Devices == 0:
		f.Detail = "no devices"
	case p.Devices == 1:
		f.Detail = "1 device"
	}
	return f
}

// nvidiaDriver is a file that NVIDIA's driver makes.
const nvidiaDriver = "/proc/driver/nvidia/version"

// examineDriver says that a GPU is not used because the native library is built without its
// plug-in, which nothing else would tell.
func examineDriver(file string, devices []mullama.Device, plugins []mullama.Plugin) []finding {
	isGPU := func(d mullama.Device) bool { return d.Kind != mullama.DeviceCPU }
	isCUDA := func(p mullama.Plugin) bool { return p.Name == "cuda" }
	_, err := os.Stat(file)
	if err != nil || slices.ContainsFunc(devices, isGPU) || slices.ContainsFunc(plugins, isCUDA) {
		return nil
	}
	return []finding{{Name: "NVIDIA GPU", State: stateUnused, Fix: "make native BACKENDS=cuda",
		Detail: "its driver is there, and the native library is built without CUDA"}}
}

// examineRPC asks another machine that the daemon would use for its devices.
func examineRPC(engine Engine, server string) finding {
	found := finding{Name: "RPC[" + server + "]", State: stateOK}
	remote, err := engine.RPCDevices(server)
	if err != nil {
		found.State, found.Detail = stateMissing, err.Error()
		found.Fix = "start mullama rpc-server there, or correct MULLAMA_RPC"
		return found
	}
	var texts []string
	for _, device := range remote {
		texts = append(texts, describe(device))
	}
	found.Detail = strings.Join(texts, "; ")
	return found
}

// describe writes what is known about a device.
func describe(device mullama.Device) string {
	text := device.Description
	if device.MemoryTotal > 0 {
		text += fmt.Sprintf(", %s of %s free",
			shortBytes(int64(device.MemoryFree)), shortBytes(int64(device.MemoryTotal)))
	}
	return text
}

// examineMachine describes the processor and the Go that built this program.
func examineMachine() []finding {
	return []finding{
		{Name: "system", State: stateOK, Detail: runtime.GOOS + "/" + runtime.GOARCH},
		{
			Name:   "processor",
			State:  stateOK,
			Detail: fmt.Sprintf("%d usable cores", runtime.NumCPU()),
		},
		{
			Name:   "features",
			State:  stateOK,
			Detail: orNone(strings.Join(cpuFeatures(), " "), "none known"),
		},
		{Name: "built with", State: stateOK, Detail: runtime.Version()},
	}
}

// printReport prints the sections, then what to do.
func (a *app) printReport(report doctorReport) {
	var fixes []finding
	for i, s := range report.Sections {
		if len(s.Findings) == 0 {
			continue
		}
		if i > 0 {
			fmt.Fprintln(a.stdout)
		}
		fmt.Fprintln(a.stdout, s.Title)
		rows := table(a.stdout)
		for _, f := range s.Findings {
			fmt.Fprintf(rows, "  %s\t%s\t%s\n", f.Name, f.State, oneLine(f.Detail))
			if f.State != stateOK {
				fixes = append(fixes, f)
			}
		}
		rows.end()
	}
	if len(fixes) == 0 {
		fmt.Fprintln(a.stdout, "\nNothing is missing.")
		return
	}
	fmt.Fprintln(a.stdout, "\nTo do")
	rows := table(a.stdout)
	for _, f := range fixes {
		line := "  " + f.Name + "\t" + f.Fix
		if f.State == stateAbsent {
			line += "\t(only for building and testing)"
		}
		fmt.Fprintln(rows, line)
	}
	rows.end()
}
