package registry

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

// keyFile is the name of Ollama's key in its folder. The public key has .pub behind it.
const keyFile = "id_ed25519"

// DefaultKeyDir is Ollama's folder in the user's home.
func DefaultKeyDir() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".ollama"), nil
}

// loadKey reads the key of a folder, and makes one where there is none. Of several programs that do
// so at once, all get the same.
func loadKey(dir string) (ssh.Signer, error) {
	path := filepath.Join(dir, keyFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeKey(dir); err == nil {
			b, err = os.ReadFile(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the key of this user: %w", err)
	}
	key, err := ssh.ParsePrivateKey(b)
	if err != nil {
		return nil, fmt.Errorf("read the key of this user, %s: %w", path, err)
	}
	return key, nil
}

// makeKey writes a new pair of keys; the public one is for the user to show.
func makeKey(dir string) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return err
	}
	sshPublic, err := ssh.NewPublicKey(public)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(dir, ".key-*") // for the user alone
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	secret, path := filepath.Join(temp, keyFile), filepath.Join(dir, keyFile)
	if err := os.WriteFile(secret, pem.EncodeToMemory(block), 0o600); err != nil {
		return err
	}
	if err := os.Link(secret, path); errors.Is(err, fs.ErrExist) {
		return nil // another program was faster
	} else if err != nil {
		if err := os.Rename(secret, path); err != nil { // a disk without links
			return err
		}
	}
	return os.WriteFile(path+".pub", ssh.MarshalAuthorizedKey(sshPublic), 0o644)
}

// sign makes what Ollama's registry takes as Authorization: the public key, and the signature of a
// text.
func sign(key ssh.Signer, text string) (string, error) {
	signature, err := key.Sign(rand.Reader, []byte(text))
	if err != nil {
		return "", err
	}
	public := string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(key.PublicKey())))
	_, public, _ = strings.Cut(public, " ")
	return public + ":" + base64.StdEncoding.EncodeToString(signature.Blob), nil
}
