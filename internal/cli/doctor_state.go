package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/shirou/gopsutil/v4/disk"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// answerTimeout bounds how long the daemon may take to tell its version.
const answerTimeout = 5 * time.Second

// examineSettings reads the configuration file as serve would, and has the other findings heed it.
func (a *app) examineSettings() finding {
	f := finding{Name: "file", State: stateOK}
	if a.getenv == nil {
		f.Detail = "none is looked for"
		return f
	}
	path, err := a.findConfig()
	var file configuration
	if err == nil {
		file, err = a.checkedConfiguration(path)
	}
	if err != nil {
		f.State, f.Detail = stateWrong, sentence(err.Error())
		f.Fix = "correct the setting; 'mullama serve --help' has them all"
		return f
	}
	a.env = readSettings(a.getenv, file)
	f.Detail = orNone(path, "none, as 'mullama config path' says")
	return f
}

// examineDaemon asks the daemon for its version, and looks for the files that start it with the
// machine. It need not run.
func (a *app) examineDaemon() []finding {
	return append([]finding{a.examineAddress()}, examineServices()...)
}

func (a *app) examineAddress() finding {
	f := finding{Name: "daemon", State: stateOK}
	h, err := parseHost(a.env.host)
	if err != nil {
		f.State, f.Detail, f.Fix = stateWrong, err.Error(), "correct MULLAMA_HOST"
		return f
	}
	client := api.NewClient(h.url, nil)
	if a.env.apiKey != "" {
		client = client.WithKey(a.env.apiKey)
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	version, err := client.Version(ctx)
	switch {
	case err == nil && version == mullama.Version():
		f.Detail = fmt.Sprintf("runs at %s", h)
	case err == nil && h.isLocal():
		f.State = stateUnused
		f.Detail = fmt.Sprintf("runs at %s, with version %s; this is %s", h, version,
			mullama.Version())
		f.Fix = "mullama daemon restart"
	case err == nil:
		f.Detail = fmt.Sprintf("runs at %s, with version %s", h, version)
	case !nobodyListens(err):
		f.State, f.Detail = stateWrong, sentence(daemonError(err).Error())
		var status *api.StatusError
		if errors.As(err, &status) && status.StatusCode == http.StatusNotFound {
			f.Detail = fmt.Sprintf("what listens at %s is no daemon for models", h)
		}
		f.Fix = "see what listens at " + h.String() + ", or set MULLAMA_HOST to another address"
	case h.isLocal() && !a.env.noStart:
		f.Detail = fmt.Sprintf("none runs at %s; the next command that needs one starts it", h)
	default:
		f.Detail = fmt.Sprintf("none runs at %s", h)
	}
	return f
}

// examineServices looks for the files of mullama daemon install.
func examineServices() (found []finding) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	for _, user := range []bool{true, false} {
		path := serviceFor(&serviceOptions{user: user}, home).path
		if _, err := os.Stat(path); err == nil {
			found = append(found, finding{Name: "service", State: stateOK, Detail: path})
		}
	}
	return found
}

// examineStore tells where the model store is, how many models it has, and how much room.
func (a *app) examineStore() []finding {
	folder, err := storeFolder(a.env.models())
	if err != nil {
		return []finding{{Name: "folder", State: stateWrong, Detail: sentence(err.Error()),
			Fix: "export MULLAMA_MODELS=FOLDER"}}
	}
	found := []finding{examineStoreFolder(folder)}
	there := folder
	for there != filepath.Dir(there) && !isFolder(there) {
		there = filepath.Dir(there)
	}
	if use, err := disk.Usage(there); err == nil {
		found = append(found, finding{Name: "disk", State: stateOK,
			Detail: shortBytes(int64(use.Free)) + " free"}) //nolint:gosec // far less than 2^63
	}
	return found
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// examineStoreFolder looks whether models can be put into a folder.
func examineStoreFolder(folder string) finding {
	f := finding{Name: "folder", State: stateOK, Detail: folder}
	if _, err := os.Stat(folder); os.IsNotExist(err) {
		f.Detail += " (not there yet)"
		return f
	}
	models, _ := filepath.Glob(filepath.Join(folder, "manifests", "*", "*", "*", "*"))
	f.Detail += fmt.Sprintf(", %d models", len(models))
	probe, err := os.CreateTemp(folder, ".doctor-")
	if err == nil {
		probe.Close()
		err = os.Remove(probe.Name())
	}
	if err != nil {
		f.State = stateUnused
		f.Detail += ", which this user cannot change"
		f.Fix = "leave it to the daemon of its owner, or choose another one with MULLAMA_MODELS"
	}
	return f
}
