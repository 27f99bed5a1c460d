// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shardctl/shardctl/e2e/fleet"
)

// local is the local endpoint of a replica, as a program beside it sees it.
type local struct {
	pod     string
	address string
}

func localOf(t *testing.T, r *fleet.Replica) local {
	t.Helper()
	address, err := r.LeadershipAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return local{pod: r.Name(), address: address}
}

// ask sends a request, and waits for the answer for a second at most: a replica may be stopped.
func (l local) ask(ctx context.Context, method, path string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+l.address+path, nil)
	if err != nil {
		return 0, "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

// toldLeader is who leads a role.
type toldLeader struct {
	Role  string `json:"role"`
	Epoch int32  `json:"epoch"`
	// Leader is nil if nobody does.
	Leader *struct {
		Pod      string `json:"pod"`
		Identity string `json:"identity"`
	} `json:"leader"`
}

func (l toldLeader) String() string {
	identity := ""
	if l.Leader != nil {
		identity = l.Leader.Identity
	}
	return fmt.Sprintf("%s %d %s", l.Role, l.Epoch, identity)
}

// toldSnapshot is how everything stands.
type toldSnapshot struct {
	Reset bool         `json:"reset"`
	Pod   string       `json:"pod"`
	Roles []toldLeader `json:"roles"`
}

// told is an event of a stream.
type told struct {
	id, name, data string
}

func (e told) decode(into any) error {
	if err := json.Unmarshal([]byte(e.data), into); err != nil {
		return fmt.Errorf("event %s: %w in %q", e.name, err, e.data)
	}
	return nil
}

// stream reads server-sent events from the one after an ID on, until ctx is done or the stream ends. What has no end is no
// event.
func (l local) stream(ctx context.Context, after string, each func(told) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.address+"/events", nil)
	if err != nil {
		return err
	}
	if after != "" {
		request.Header.Set("Last-Event-ID", after)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", answer.Status)
	}
	var event told
	for lines := bufio.NewReader(answer.Body); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			event.name = value
		case "id":
			event.id = value
		case "data":
			event.data += value
		case "": // the end of the event, or a comment
			if line != "\n" {
				continue
			}
			if err := each(event); err != nil {
				return err
			}
			event = told{}
		}
	}
}
