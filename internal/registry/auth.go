package registry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// challenge is what a registry wants of who asks without a token.
type challenge struct{ realm, service, scope string }

var challengeField = regexp.MustCompile(`(\w+)="([^"]*)"`)

func parseChallenge(header string) (challenge, bool) {
	var c challenge
	kind, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	if !strings.EqualFold(kind, "Bearer") {
		return c, false
	}
	for _, m := range challengeField.FindAllStringSubmatch(rest, -1) {
		switch strings.ToLower(m[1]) {
		case "realm":
			c.realm = m[2]
		case "service":
			c.service = m[2]
		case "scope":
			c.scope = m[2]
		}
	}
	return c, c.realm != ""
}

// authorize gets a token for what a registry asks in its answer. The signature of this user is
// shown to that registry alone; another host that gives out tokens sees an unknown user.
func (c *Client) authorize(ctx context.Context, resp *http.Response) (string, error) {
	asked, ok := parseChallenge(resp.Header.Get("WWW-Authenticate"))
	if !ok {
		return "", statusFailure(resp)
	}
	at, err := url.Parse(asked.realm)
	if err != nil || at.Host == "" {
		return "", fail(ErrUnreachable, "%s names no place to sign in", resp.Request.URL.Host)
	}
	if err := c.allowed(at); err != nil {
		return "", err
	}
	query := at.Query()
	if asked.service != "" {
		query.Set("service", asked.service)
	}
	for scope := range strings.FieldsSeq(asked.scope) {
		query.Add("scope", scope)
	}
	own := at.Host == resp.Request.URL.Host
	if own {
		query.Set("ts", strconv.FormatInt(time.Now().Unix(), 10))
		query.Set("nonce", rand.Text())
	}
	at.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return "", err
	}
	if own {
		if err := c.signRequest(req); err != nil {
			return "", err
		}
	}
	return c.token(req)
}

// signRequest shows the key of this user. A user without one, who cannot have one made, is unknown.
func (c *Client) signRequest(req *http.Request) error {
	key, err := loadKey(c.o.KeyDir)
	if err != nil {
		return &failure{kind: ErrDenied, message: "sign in to " + req.URL.Host, cause: err}
	}
	empty := sha256.Sum256(nil)
	text := req.Method + "," + req.URL.String() + "," +
		base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(empty[:])))
	signature, err := sign(key, text)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", signature)
	return nil
}

// token asks for a token.
func (c *Client) token(req *http.Request) (string, error) {
	req.Header.Set("User-Agent", c.o.UserAgent)
	resp, err := c.http.Do(req)
	if err != nil {
		return "", lost(req.URL.Host, withoutURL(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		return "", statusFailure(resp)
	}
	const most = 1 << 20
	var answer struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, most)).Decode(&answer)
	if answer.Token == "" {
		answer.Token = answer.AccessToken
	}
	if err != nil || answer.Token == "" {
		return "", fail(ErrDenied, "%s gives no token to this user", req.URL.Host)
	}
	return answer.Token, nil
}
