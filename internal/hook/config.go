// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	// DefaultTimeout bounds a call whose configuration names no timeout; it is metacontroller's default.
	DefaultTimeout = 10 * time.Second

	// MaxTimeout is the longest timeout that a configuration may name: a call holds a worker all that time.
	MaxTimeout = time.Hour
)

// Values of Config.Version and Webhook.ResponseUnMarshallMode.
const (
	versionV1     = "v1"
	answersLoose  = "loose"
	answersStrict = "strict"
)

// Config says how a hook is reached, in the JSON form of metacontroller's hooks.
// Exactly one of Webhook and Exec is set.
type Config struct {
	// Version of the hook's JSON: "v1", which is also what an empty one means.
	Version string `json:"version,omitempty"`

	// Webhook is called over HTTP.
	Webhook *Webhook `json:"webhook,omitempty"`

	// Exec is started once for each call. It is shardctl's addition to metacontroller's hooks.
	Exec *Exec `json:"exec,omitempty"`
}

// Webhook is a hook that is called by a POST over HTTP or HTTPS.
type Webhook struct {
	// URL of the hook. If it is set, Service and Path are ignored, as metacontroller ignores them.
	URL string `json:"url,omitempty"`

	// Service and Path together stand in for a URL.
	Service *Service `json:"service,omitempty"`
	Path    string   `json:"path,omitempty"`

	// Timeout of one call, connecting and reading the answer included, as a Go duration ("2s").
	// Empty means DefaultTimeout.
	Timeout string `json:"timeout,omitempty"`

	// ResponseUnMarshallMode is "loose" (the default: fields that are not part of the contract are
	// ignored) or "strict" (unknown and duplicate fields of an answer are errors).
	ResponseUnMarshallMode string `json:"responseUnMarshallMode,omitempty"`
}

// Service is a Kubernetes Service, reached by its name in the cluster's DNS.
type Service struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`

	// Port of the Service; nil means 80.
	Port *int32 `json:"port,omitempty"`

	// Protocol is "http" (the default) or "https".
	Protocol string `json:"protocol,omitempty"`
}

// Exec is a hook that is a program: the request on its standard input, the answer on its standard
// output, exit code 0.
type Exec struct {
	// Command is the program and its arguments. No shell is involved. A program without a slash is
	// looked up in PATH.
	Command []string `json:"command"`

	// Timeout of one call, from the start of the program to its end, as a Go duration ("2s").
	// Empty means DefaultTimeout.
	Timeout string `json:"timeout,omitempty"`

	// Env is added to the environment of shardctl itself, and wins over it. The variables that tell of the
	// term (see Term) and of a schedule's run (see Firing) are set for each call, and cannot be set here.
	Env []EnvVar `json:"env,omitempty"`
}

// EnvVar is one environment variable.
type EnvVar struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Validate reports everything that is wrong with c. It does not look whether the hook can be reached.
func (c *Config) Validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c.Version != "" && c.Version != versionV1 {
		errs = append(errs, field.Invalid(path.Child("version"), c.Version,
			"shardctl speaks version v1 of the hook API only: use v1, or leave it out"))
	}
	switch {
	case c.Webhook == nil && c.Exec == nil:
		errs = append(errs, field.Required(path, "say how to call the hook: set webhook or exec"))
	case c.Webhook != nil && c.Exec != nil:
		errs = append(errs, field.Forbidden(path.Child("exec"), "a hook has one way to be called: remove webhook or exec"))
	}
	if c.Webhook != nil {
		errs = append(errs, c.Webhook.validate(path.Child("webhook"))...)
	}
	if c.Exec != nil {
		errs = append(errs, c.Exec.validate(path.Child("exec"))...)
	}
	return errs
}

func (w *Webhook) validate(path *field.Path) field.ErrorList {
	errs := validateTimeout(w.Timeout, path.Child("timeout"))
	switch w.ResponseUnMarshallMode {
	case "", answersLoose, answersStrict:
	default:
		errs = append(errs, field.NotSupported(path.Child("responseUnMarshallMode"), w.ResponseUnMarshallMode,
			[]string{answersLoose, answersStrict}))
	}
	switch {
	case w.URL != "":
		errs = append(errs, validateURL(w.URL, path.Child("url"))...)
	case w.Service == nil:
		errs = append(errs, field.Required(path, "say where the hook is: set url, or service and path"))
	default:
		errs = append(errs, w.Service.validate(path.Child("service"))...)
		if !strings.HasPrefix(w.Path, "/") {
			errs = append(errs, field.Invalid(path.Child("path"), w.Path, "with service, a path that begins with / is needed, for example /sync"))
		}
	}
	return errs
}

func validateURL(raw string, path *field.Path) field.ErrorList {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		// The text of err repeats the URL, which may hold a password.
		return field.ErrorList{field.Invalid(path, "", "is not a URL: use one like http://my-hook.my-namespace/sync")}
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return field.ErrorList{field.Invalid(path, u.Redacted(), "must be a full URL that begins with http:// or https://, for example http://my-hook.my-namespace/sync")}
	}
	return nil
}

func (s *Service) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, reason := range validation.IsDNS1123Label(s.Name) {
		errs = append(errs, field.Invalid(path.Child("name"), s.Name, "must be the name of a Service: "+reason))
	}
	for _, reason := range validation.IsDNS1123Label(s.Namespace) {
		errs = append(errs, field.Invalid(path.Child("namespace"), s.Namespace, "must be the namespace of the Service: "+reason))
	}
	if s.Port != nil {
		for _, reason := range validation.IsValidPortNum(int(*s.Port)) {
			errs = append(errs, field.Invalid(path.Child("port"), *s.Port, reason))
		}
	}
	switch s.Protocol {
	case "", "http", "https":
	default:
		errs = append(errs, field.NotSupported(path.Child("protocol"), s.Protocol, []string{"http", "https"}))
	}
	return errs
}

func (e *Exec) validate(path *field.Path) field.ErrorList {
	errs := validateTimeout(e.Timeout, path.Child("timeout"))
	if len(e.Command) == 0 || e.Command[0] == "" {
		errs = append(errs, field.Required(path.Child("command"), "name the program and its arguments, for example [/hooks/sync, --verbose]"))
	}
	for i, arg := range e.Command {
		if strings.ContainsRune(arg, 0) {
			errs = append(errs, field.Invalid(path.Child("command").Index(i), arg, "must not contain a NUL character"))
		}
	}
	for i, env := range e.Env {
		at := path.Child("env").Index(i)
		for _, reason := range validation.IsEnvVarName(env.Name) {
			errs = append(errs, field.Invalid(at.Child("name"), env.Name, reason))
		}
		if isVariable(env.Name) {
			errs = append(errs, field.Forbidden(at.Child("name"), env.Name+" is set for each call, to tell the program what it is called for: use another name"))
		}
		if strings.ContainsRune(env.Value, 0) {
			errs = append(errs, field.Invalid(at.Child("value"), env.Value, "must not contain a NUL character"))
		}
	}
	return errs
}

func validateTimeout(timeout string, path *field.Path) field.ErrorList {
	if timeout == "" {
		return nil
	}
	d, err := time.ParseDuration(timeout)
	switch {
	case err != nil:
		return field.ErrorList{field.Invalid(path, timeout, "is not a duration: use a number with a unit, for example 10s or 1m30s")}
	case d <= 0 || d > MaxTimeout:
		return field.ErrorList{field.Invalid(path, timeout, fmt.Sprintf("must be more than 0 and at most %s; leave it out for the default", MaxTimeout))}
	}
	return nil
}

// timeoutOrDefault returns the duration of a timeout that validateTimeout has passed.
func timeoutOrDefault(timeout string) time.Duration {
	if d, err := time.ParseDuration(timeout); err == nil {
		return d
	}
	return DefaultTimeout
}

// target returns the URL that a valid Webhook is called at.
func (w *Webhook) target() string {
	if w.URL != "" {
		return w.URL
	}
	protocol, port := "http", int32(80)
	if w.Service.Protocol != "" {
		protocol = w.Service.Protocol
	}
	if w.Service.Port != nil {
		port = *w.Service.Port
	}
	// With .svc the name resolves also where the Pod's DNS search list holds only the cluster's suffix.
	host := w.Service.Name + "." + w.Service.Namespace + ".svc"
	return protocol + "://" + net.JoinHostPort(host, strconv.Itoa(int(port))) + w.Path
}
