// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Config says what is looked at, in the form that the configuration file has. Exactly one
// of its fields is set.
type Config struct {
	// HTTP is a GET of a URL.
	HTTP *HTTP `json:"http,omitempty"`

	// TCP is a connection to a port, which is closed at once.
	TCP *TCP `json:"tcp,omitempty"`

	// Exec is a program that exits with code 0 if all is well.
	Exec *Exec `json:"exec,omitempty"`

	// Pod is the Ready condition of the Pod that this process runs in.
	Pod *Pod `json:"pod,omitempty"`
}

// HTTP is a GET of a URL that is answered with a status from 200 to 399 if all is well. What
// the answer says is not read.
type HTTP struct {
	// URL begins with http:// or https://. Redirects to other paths and ports of the
	// same host are followed, 10 at most.
	URL string `json:"url"`
}

// TCP is a port that accepts connections if all is well.
type TCP struct {
	// Address is host:port.
	Address string `json:"address"`
}

// Exec is a program. It gets the environment of this process, and nothing on its standard
// input. It is killed, with all that it has started, when the time is over.
type Exec struct {
	// Command is the program and its arguments. No shell is involved. A program without
	// a slash is looked up in PATH.
	Command []string `json:"command"`
}

// Pod has nothing to say: there is one Pod that this process runs in.
type Pod struct{}

// Validate reports everything that is wrong with c. It does not look.
func (c *Config) Validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	var named []*field.Path
	if c.HTTP != nil {
		named = append(named, path.Child("http"))
		errs = append(errs, c.HTTP.validate(path.Child("http", "url"))...)
	}
	if c.TCP != nil {
		named = append(named, path.Child("tcp"))
		errs = append(errs, c.TCP.validate(path.Child("tcp", "address"))...)
	}
	if c.Exec != nil {
		named = append(named, path.Child("exec"))
		errs = append(errs, c.Exec.validate(path.Child("exec", "command"))...)
	}
	if c.Pod != nil {
		named = append(named, path.Child("pod"))
	}
	if len(named) == 0 {
		return field.ErrorList{field.Required(path, errNone.Error())}
	}
	for _, more := range named[1:] {
		errs = append(errs, field.Forbidden(more, "there is one probe for a role, and "+named[0].String()+" is set: remove one of them"))
	}
	return errs
}

func (h *HTTP) validate(path *field.Path) field.ErrorList {
	u, err := url.Parse(h.URL)
	switch {
	case err != nil:
		// The text of err repeats the URL, which may hold a password.
		return field.ErrorList{field.Invalid(path, "", "is not a URL: use one like http://127.0.0.1:8080/ready")}
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return field.ErrorList{field.Invalid(path, u.Redacted(), "must be a full URL that begins with http:// or https://, for example http://127.0.0.1:8080/ready")}
	}
	return nil
}

func (t *TCP) validate(path *field.Path) field.ErrorList {
	host, port, err := net.SplitHostPort(t.Address)
	if err != nil || host == "" {
		return field.ErrorList{field.Invalid(path, t.Address, "must be host:port, for example 127.0.0.1:5432")}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return field.ErrorList{field.Invalid(path, t.Address, "has no usable port: use a number from 1 to 65535, for example 127.0.0.1:5432")}
	}
	return nil
}

func (e *Exec) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(e.Command) == 0 || e.Command[0] == "" {
		errs = append(errs, field.Required(path, "name the program and its arguments, for example [/usr/local/bin/ready, --quiet]"))
	}
	for i, arg := range e.Command {
		if strings.ContainsRune(arg, 0) {
			errs = append(errs, field.Invalid(path.Index(i), arg, "must not contain a NUL character"))
		}
	}
	return errs
}
