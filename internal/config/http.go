// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/shardctl/shardctl/internal/endpoint"
)

// http reads what is served by HTTP, where, how and for whom.
func (p *parser) http(http *object) {
	p.config.HTTPAddress = http.address("address", DefaultHTTPAddress)
	p.config.HTTPTLS = http.certificate("tls")
	p.config.HTTPProtect = http.protected("authorization")
	http.done()
	if len(p.config.HTTPProtect) > 0 && http.fields["tls"] == nil && !loopback(p.config.HTTPAddress) {
		http.fail(field.Required(http.path.Child("tls"), tokensInTheClear))
	}
}

const tokensInTheClear = "with authorization the tokens of whoever asks would cross the network in the clear: name a certificate, or use a loopback address"

// address reads what a server may listen on.
func (o *object) address(name, absent string) string {
	address := o.text(name, absent)
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || strings.ContainsAny(host, " /") {
		o.fail(field.Invalid(o.path.Child(name), address,
			`use host:port with a port from 0 to 65535, as in ":8080", "127.0.0.1:8080" or "[::1]:8080"`))
	}
	return address
}

// loopback tells an address that only the Pod's own containers reach.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// certificate reads the names of the files of a certificate and its key. Whether they can
// be used shows where they are.
func (o *object) certificate(name string) endpoint.Files {
	given := o.object(name)
	files := endpoint.Files{Cert: given.text("certFile", ""), Key: given.text("keyFile", "")}
	given.done()
	if o.fields[name] == nil {
		return endpoint.Files{}
	}
	if files.Cert == "" {
		given.fail(field.Required(given.path.Child("certFile"), "name a file in PEM, such as tls.crt of a Secret that is mounted"))
	}
	if files.Key == "" {
		given.fail(field.Required(given.path.Child("keyFile"), "name a file in PEM, such as tls.key of a Secret that is mounted"))
	}
	return files
}

// protected reads what is only for those whom the API server lets: everything that can be,
// unless the object names some of it.
func (o *object) protected(name string) []endpoint.Part {
	given := o.object(name)
	list := given.list("protect")
	given.done()
	path := given.path.Child("protect")
	switch {
	case o.fields[name] == nil:
		return nil
	case list == nil:
		return endpoint.Parts()
	case len(list) == 0:
		given.fail(field.Required(path, "name what is to be protected, or leave out "+name))
	}
	var parts []endpoint.Part
	for i, value := range list {
		text, ok := value.(string)
		part := endpoint.Part(text)
		switch {
		case !ok:
			given.fail(field.TypeInvalid(path.Index(i), value, "a string is needed here"))
		case !slices.Contains(endpoint.Parts(), part):
			given.fail(field.NotSupported(path.Index(i), part, endpoint.Parts()))
		case slices.Contains(parts, part):
			given.fail(field.Duplicate(path.Index(i), part))
		default:
			parts = append(parts, part)
		}
	}
	return parts
}
