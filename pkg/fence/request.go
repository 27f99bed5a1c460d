// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fence

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/shardctl/shardctl/pkg/lease"
)

// The policies are put together of expressions, which are bool unless their names say otherwise.
// Names that stand in them (of groups, types, labels) contain neither quotes nor backslashes.

// AnnotationOwner is on an attachment that has no owner reference to the object that it is written
// for: <family>/<UID>/<namespace>/<name> of that, the namespace being empty if it has none.
const AnnotationOwner = "shardctl.dev/owner"

// What the API server says of a token that is bound to a Pod.
const (
	podName = "request.userInfo.extra['authentication.kubernetes.io/pod-name'][0]"
	podUID  = "request.userInfo.extra['authentication.kubernetes.io/pod-uid'][0]"

	podBound = "(has(request.userInfo.extra) && 'authentication.kubernetes.io/pod-name' in request.userInfo.extra && " +
		"'authentication.kubernetes.io/pod-uid' in request.userInfo.extra)"
)

// what a request does, for people: a text.
const what = "request.operation + ' of ' + request.resource.resource +\n" +
	"(has(request.subResource) && request.subResource != '' ? '/' + request.subResource : '') + ' ' +\n" +
	"(has(request.namespace) && request.namespace != '' ? request.namespace + '/' : '') +\n" +
	"(has(request.name) && request.name != '' ? request.name : object != null && has(object.metadata.name) ? object.metadata.name : '') +\n"

// judged are when a request is judged at all: if the group's service account sends it, and it is not
// what every replica writes for itself.
func (o Options) judged(resources []schema.GroupResource) []string {
	all := []string{fmt.Sprintf("request.userInfo.username == '%s'", o.account())}
	if slices.Contains(resources, pods) { // its own Pod
		all = append(all, fmt.Sprintf("!(%s && request.operation == 'UPDATE' && request.namespace == '%s' && %s && request.name == %s && oldObject.metadata.uid == %s)",
			of(pods), o.Namespace, podBound, podName, podUID))
	}
	if slices.Contains(resources, leases) { // its group's Leases
		all = append(all, fmt.Sprintf("!(%s && request.namespace == '%s' && [object, oldObject].exists(o, o != null && has(o.metadata.labels) && "+
			"'%[3]s' in o.metadata.labels && o.metadata.labels['%[3]s'] == '%[4]s'))", of(leases), o.Namespace, labelGroup, o.Group))
	}
	return all
}

// of is whether a request is about a type.
func of(r schema.GroupResource) string {
	return fmt.Sprintf("(request.resource.group == '%s' && request.resource.resource == '%s')", r.Group, r.Resource)
}

// asAttachment is whether an object of a family is written as an attachment of another one. For an update the
// writer says so by its field manager. For a creation and a deletion the object says so, by a mark that
// decorators leave on what they attach, or by that of its owner: owner references alone are not enough, for
// Kubernetes' own controllers make objects of the same types.
func asAttachment(owners []schema.GroupResource) string {
	return fmt.Sprintf("((request.operation == 'UPDATE' ? has(request.options.fieldManager) && request.options.fieldManager == '%s' :\n"+
		"[object, oldObject].exists(o, o != null && has(o.metadata.annotations) && ['%s', '%s'].exists(a, a in o.metadata.annotations))) &&\n%s)",
		AttachmentManager, annotationDecorator, AnnotationOwner, namesOwner(owners))
}

// annotationDecorator is on what a decorator has attached, by the name that metacontroller gave it.
const annotationDecorator = "metacontroller.k8s.io/decorator-controller"

// namesOwner is whether an object says, before or after the write, that it belongs to one of the
// families. Which kinds these have is not known here: of owner references, only the API group counts.
func namesOwner(owners []schema.GroupResource) string {
	references, marks := make([]string, len(owners)), make([]string, len(owners))
	for i, family := range owners {
		references[i], marks[i] = toGroup(family.Group), marksOwner(family)
	}
	return fmt.Sprintf("[object, oldObject].exists(o, o != null &&\n(has(o.metadata.ownerReferences) && o.metadata.ownerReferences.exists(r, has(r.controller) && r.controller && (%s)) ||\n(%s)))",
		strings.Join(slices.Compact(references), " || "), strings.Join(marks, " || "))
}

// toGroup is whether owner reference r is to a type of an API group, in any version.
func toGroup(group string) string {
	if group == "" {
		return "!r.apiVersion.contains('/')"
	}
	return fmt.Sprintf("r.apiVersion.startsWith('%s/')", group)
}

// marksOwner is whether object o names an owner of a family in its annotation.
func marksOwner(family schema.GroupResource) string {
	return fmt.Sprintf("has(o.metadata.annotations) && '%[1]s' in o.metadata.annotations && o.metadata.annotations['%[1]s'].matches('^%[2]s/[^/]*/[^/]*/[^/]+$')",
		AnnotationOwner, quoted(family.String()))
}

// inForce is whether a Lease with these annotations is of the layout in use: one of an earlier layout
// is sealed, one of the next is coming.
func inForce(annotations string) string {
	return fmt.Sprintf("%s.all(a, !(a in %[2]s) || %[2]s[a] == '')", list(lease.AnnotationSealed, lease.AnnotationComing), annotations)
}

// holderOf is the holder of a Lease, empty if it has none: a text.
func holderOf(object string) string {
	return fmt.Sprintf("(has(%[1]s.spec) && has(%[1]s.spec.holderIdentity) ? %[1]s.spec.holderIdentity : '')", object)
}

// let is an expression in which a name stands for a value. The language has no such thing; a list of one
// element does it.
func let(name, value, expression string) string {
	return fmt.Sprintf("[%s].exists(%s,\n%s)", value, name, expression)
}

// quoted is a name as part of a regular expression.
func quoted(name string) string { return strings.ReplaceAll(name, ".", "[.]") }

func list(texts ...string) string { return "['" + strings.Join(texts, "', '") + "']" }
