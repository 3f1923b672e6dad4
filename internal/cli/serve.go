package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/server"
)

const serveLong = `Serve the models of the store over HTTP until SIGTERM or Ctrl-C.

Clients of Ollama and of OpenAI use the daemon unchanged. Its address is MULLAMA_HOST, or else
127.0.0.1:11434. The commands that need a daemon start one themselves.

At the first signal the daemon refuses new requests and lets the running ones end; the second
ends it at once.`

// serveCommand builds `mullama serve`.
func (a *app) serveCommand() *cobra.Command {
	f := newServeFlags()
	var address string
	cmd := &cobra.Command{
		Use:     "serve",
		Aliases: []string{"start"},
		Short:   "Serve models over HTTP",
		Long:    serveLong,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			given := slices.Clone(f.given)
			if err := f.settle(cmd, a.env); err != nil {
				return err
			}
			f.given = given
			if address == "" {
				address = a.env.host
			}
			return a.serve(cmd.Context(), f, address)
		},
	}
	cmd.Flags().StringVar(&address, "host", "",
		"`ADDRESS` to listen on: host, host:port or unix:/path")
	f.define(cmd)
	f.record(cmd)
	return cmd
}

// serve runs the daemon until ctx ends or a signal comes.
func (a *app) serve(ctx context.Context, f *serveFlags, address string) error {
	h, err := parseHost(address)
	if err != nil {
		return usage("--host: %s", err)
	}
	keys, err := f.keys()
	if err != nil {
		return err
	}
	if err := f.check(h, keys); err != nil {
		return err
	}
	if err := f.load.resolve(); err != nil {
		return err
	}
	template, err := f.chatTemplate()
	if err != nil {
		return err
	}
	models, err := storeFolder(f.models)
	if err != nil {
		return err
	}
	indexes := f.indexes
	if indexes == "" {
		indexes = filepath.Join(models, "indexes")
	}
	listener, err := listen(h)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // the server has closed it, unless there was none
	if f.logFile != "" {
		if err := a.logTo(f); err != nil {
			return err
		}
	}
	log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: a.logLevel()}))
	defer a.hold(h, f, models, log)()
	options := f.runtimeOptions(models, log)
	tuning := takeTuning(&options.Defaults)
	options.HubURL, options.HubToken = a.env.hubURL, a.env.hubToken
	runtime, err := mullama.Open(options)
	if err != nil {
		return err
	}
	defer runtime.Close()
	api := server.New(runtime, server.Config{
		Version: mullama.Version(), Keys: keys, Origins: f.origins, Local: h.isLocal(),
		Defaults: options.Defaults, Model: f.model, Tuning: tuning, Template: template,
		Options: f.options, Indexes: indexes, Log: log,
	})
	log.Info("listening", "address", h.String(), "models", models,
		"version", mullama.Version(), "engine", runtime.Engine().Version)
	return a.serveUntilSignal(ctx, listener, api, runtime, f.drain)
}

func (a *app) logLevel() slog.Level {
	if a.env.debug {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// runtimeOptions are the flags as package mullama takes them.
func (f *serveFlags) runtimeOptions(models string, log *slog.Logger) mullama.Options {
	load := f.load.options
	load.Slots, load.KVLayout, load.CacheTokens = f.slots, f.layout, f.pool
	if load.Slots == 0 {
		load.Slots = defaultSlots
	}
	keepAlive := f.keepAlive
	if f.model != "" && keepAlive == 0 {
		keepAlive = -1 // the model is there for this daemon
	}
	return mullama.Options{
		Logger: log, ModelsDir: models, Defaults: load,
		MaxModels: f.most, MaxQueue: f.queue, KeepAlive: keepAlive,
		MinKeepAlive: f.keepAliveMin, MaxKeepAlive: f.keepAliveMax, LoadTimeout: f.loadTimeout,
	}
}

// takeTuning moves adapters, control vectors and a draft model, which are for the model of --model
// alone.
func takeTuning(load *mullama.LoadOptions) server.Tuning {
	t := server.Tuning{Adapters: load.Adapters, ControlVectors: load.ControlVectors,
		ControlLayers: load.ControlLayers, Draft: load.Draft}
	load.Adapters, load.ControlVectors, load.ControlLayers = nil, nil, [2]int{}
	load.Draft = ""
	return t
}

// defaultSlots is how many requests a model of the daemon computes at once. Each has a KV cache of
// its own where memory allows (for SmolLM2 and 4,096 tokens 94 MB), and on few cores more at once
// are not faster: with 8 requests llama.cpp alone makes 244 tokens/s of SmolLM2 on two, and 230
// with 32.
const defaultSlots = 8

// listen opens the socket, and says in words why it cannot.
func listen(h host) (net.Listener, error) {
	if h.network == "unix" {
		if err := removeDeadSocket(h.address); err != nil {
			return nil, err
		}
	}
	listener, err := net.Listen(h.network, h.address)
	switch {
	case err == nil:
		return listener, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, (&failure{code: exitFailed,
			message: fmt.Sprintf("%s is in use: a daemon or another program listens there", h)}).
			withHint("end it, or choose another address with --host")
	case errors.Is(err, syscall.EACCES):
		return nil, &failure{code: exitFailed,
			message: fmt.Sprintf("this user may not listen on %s", h)}
	}
	return nil, &failure{code: exitFailed, message: fmt.Sprintf("listen on %s: %s", h, err)}
}

// removeDeadSocket removes a socket file that nobody listens on any more.
func removeDeadSocket(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return os.MkdirAll(filepath.Dir(path), 0o755)
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		return errors.Join(conn.Close(), &failure{code: exitFailed,
			message: fmt.Sprintf("unix:%s is in use: a daemon listens there", path)})
	}
	return os.Remove(path)
}

// newWebServer bounds what handlers do not see: how long a client may take for the header of a
// request, and keep a connection that it does not use.
func newWebServer(handler http.Handler) *http.Server {
	return &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout: 5 * time.Minute}
}

// serveUntilSignal answers requests until ctx ends or a signal comes, and then lets the running
// ones end within drain.
func (a *app) serveUntilSignal(
	ctx context.Context, listener net.Listener, api *server.Server, runtime *mullama.Runtime,
	drain time.Duration,
) error {
	ctx, stop := a.interruptible(ctx)
	defer stop()
	web := newWebServer(api.Handler())
	failed := make(chan error, 2)
	go func() { failed <- web.Serve(listener) }()
	go func() { // ends with ctx
		if err := api.Preload(ctx); err != nil && ctx.Err() == nil {
			failed <- err
		}
	}()
	select {
	case err := <-failed:
		return errors.Join(web.Close(),
			&failure{code: exitFailed, message: "serve: " + err.Error()})
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	api.Drain()
	ended := errors.Join(runtime.Shutdown(limit), api.Wait(limit))
	if err := errors.Join(ended, web.Shutdown(limit)); err != nil {
		return errors.Join(web.Close(), &failure{code: exitFailed,
			message: fmt.Sprintf("requests were cut off after %s", drain)})
	}
	return nil
}
