// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/shardctl/shardctl/internal/decorator"
	"github.com/shardctl/shardctl/pkg/lease"
)

// What a document that is shardctl's own says of itself.
const (
	APIVersion = "shardctl.dev/v1alpha1"
	Kind       = "Configuration"
)

// Load reads and parses a file. The error is an [InvalidError] where the file
// could be read.
func Load(file string) (*Config, error) {
	data, err := Read(file)
	if err != nil {
		return nil, err
	}
	return Parse(file, data)
}

// Read reads a file as far as [Parse] needs it.
func Read(file string) ([]byte, error) {
	opened, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("opening the configuration: %w", err)
	}
	defer opened.Close()
	// One byte more than is allowed, so that Parse sees that it is too much.
	data, err := io.ReadAll(io.LimitReader(opened, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return data, nil
}

// Parse reads data, the content of the file of that name. The error is an
// [InvalidError].
func Parse(file string, data []byte) (*Config, error) {
	p := parser{file: file, names: map[string]naming{}, divisions: map[string]division{}}
	p.parse(data)
	if len(p.problems) > 0 {
		return nil, &InvalidError{Problems: p.problems}
	}
	return &p.config, nil
}

// parser goes through one file.
type parser struct {
	file     string
	config   Config
	problems []Problem

	documents     int               // so far, without the empty ones
	configuration Place             // where the Configuration begins; zero before it
	names         map[string]naming // of roles so far
	divisions     map[string]division
}

// naming is where a role got its name.
type naming struct {
	place Place
	field string
}

func (p *parser) parse(data []byte) {
	whole := Place{File: p.file}
	if len(data) > MaxBytes {
		p.reportf(whole, "has more than %d bytes: is it the right file? If so, use several groups", MaxBytes)
		return
	}
	documents := split(data)
	if len(documents) > MaxDocuments {
		p.reportf(whole, "has %d documents: use %d or less", len(documents), MaxDocuments)
		return
	}
	for _, document := range documents {
		p.document(document)
	}
	p.countBuckets()
	p.checkShardNames()
	// What is missing is told only where nothing else is wrong: it may be in
	// what could not be read.
	switch {
	case len(p.problems) > 0:
	case p.configuration.Line == 0:
		p.reportf(whole, "has no document of kind %s, apiVersion %s: add one, its metadata.name names the group", Kind, APIVersion)
	case len(p.config.Roles) == 0:
		p.reportf(p.configuration, "spec.roles: Required value: there is nothing to do: add a role, here or as a document of kind %s", decorator.Kind)
	}
}

// reportf records a problem that is about no field in particular.
func (p *parser) reportf(place Place, format string, args ...any) {
	p.problems = append(p.problems, Problem{Place: place, Detail: fmt.Sprintf(format, args...)})
}

// reportFields records what is wrong with fields of the document at place.
func (p *parser) reportFields(place Place, errs field.ErrorList) {
	for _, err := range errs {
		p.problems = append(p.problems, fieldProblem(place, err))
	}
}

// document reads one document of any kind.
func (p *parser) document(document document) {
	value, duplicates, err := decode(document.text)
	if value == nil && err == nil {
		return
	}
	p.documents++
	place := Place{File: p.file, Line: document.line, Document: p.documents}
	at := func(line int) Place {
		return Place{File: p.file, Line: document.line + line - 1, Document: p.documents}
	}
	for _, duplicate := range duplicates {
		p.reportf(at(duplicate.line), "%s: Duplicate value: the field is given twice: remove one of the two", printable(duplicate.name))
	}
	if notFinite := (*notFiniteError)(nil); errors.As(err, &notFinite) {
		p.reportFields(place, notFinite.fields)
		return
	}
	if err != nil {
		line, text := cutLine(strings.TrimPrefix(err.Error(), "yaml: "))
		p.reportf(at(line), "cannot be read as YAML, here or just below: %s", shorten(text))
		return
	}
	fields, ok := value.(map[string]any)
	if !ok {
		p.reportf(place, "fields with values are needed here: begin with apiVersion: %s and kind: %s", APIVersion, Kind)
		return
	}
	p.kind(place, fields)
}

// kind hands a document to what knows its kind.
func (p *parser) kind(place Place, fields map[string]any) {
	switch apiVersion, kind := fields["apiVersion"], fields["kind"]; {
	case apiVersion == APIVersion && kind == Kind:
		p.configurationDocument(place, fields)
	case apiVersion == decorator.APIVersion && kind == decorator.Kind:
		p.decoratorDocument(place, fields)
	default:
		p.reportf(place, "kind %v of apiVersion %v is not known here: use %s of %s or %s of %s",
			orNone(kind), orNone(apiVersion), Kind, APIVersion, decorator.Kind, decorator.APIVersion)
	}
}

// orNone is what a message says of a value that may be of any type, or absent.
func orNone(value any) any {
	switch value := value.(type) {
	case nil:
		return "(none)"
	case string:
		return printable(value)
	default:
		return excerpt(value)
	}
}

// decoratorDocument reads a DecoratorController as one writes it for
// metacontroller: a role of that name.
func (p *parser) decoratorDocument(place Place, fields map[string]any) {
	document, errs := parseDecorator(fields, nil)
	p.reportFields(place, errs)
	if document != nil {
		p.addRole(place, field.NewPath("metadata", "name"), Role{Name: document.Name(), Decorator: document, Buckets: 1, Partition: lease.ByUID})
		p.divide(place, field.NewPath("spec", "resources"), document, 1, lease.ByUID)
	}
}

// parseDecorator has a DecoratorController read from what was decoded already.
func parseDecorator(fields map[string]any, path *field.Path) (*decorator.Document, field.ErrorList) {
	raw, err := json.Marshal(fields)
	if err != nil {
		return nil, field.ErrorList{field.InternalError(path, err)}
	}
	return decorator.Parse(raw, path)
}

// addRole adds a role that got its name in the field at path.
func (p *parser) addRole(place Place, path *field.Path, role Role) {
	if before, taken := p.names[role.Name]; taken {
		duplicate := field.Duplicate(path, role.Name)
		duplicate.Detail = fmt.Sprintf("%s has this name already (%s): rename one of the two", before.field, before.place.inFile())
		p.reportFields(place, field.ErrorList{duplicate})
		return
	}
	if len(p.names) == MaxRoles {
		p.reportFields(place, field.ErrorList{field.Forbidden(path, fmt.Sprintf("use %d roles or less in a group", MaxRoles))})
		return
	}
	p.names[role.Name] = naming{place: place, field: path.String()}
	p.config.Roles = append(p.config.Roles, role)
}
