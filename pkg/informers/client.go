// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"context"
	"fmt"
	"path"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	kjson "sigs.k8s.io/json"
)

// Client lists and watches the objects of any type; the namespace is "" for all.
// [NewClient] makes one, [FromDynamic] turns a dynamic client into one.
//
// One that cannot stream lists (sendInitialEvents), as client-go's fakes cannot, has to say so
// by a method IsWatchListSemanticsUnSupported() bool: else the informer waits for the end of
// a streaming list in vain. What wraps such a client needs that method too.
type Client interface {
	List(ctx context.Context, resource schema.GroupVersionResource, namespace string, opts metav1.ListOptions) (*List, error)
	// Watch shows each object as an [*Object].
	Watch(ctx context.Context, resource schema.GroupVersionResource, namespace string, opts metav1.ListOptions) (watch.Interface, error)
}

// NewClient returns a client that decodes no more of an object than its metadata.
func NewClient(cfg *rest.Config) (Client, error) {
	own := rest.CopyConfig(cfg)
	own.AcceptContentTypes = runtime.ContentTypeJSON
	own.ContentType = runtime.ContentTypeJSON
	own.NegotiatedSerializer = serializer{}
	if own.UserAgent == "" {
		own.UserAgent = rest.DefaultKubernetesUserAgent()
	}
	own.GroupVersion = nil // every request has an absolute path
	c, err := rest.UnversionedRESTClientFor(own)
	if err != nil {
		return nil, fmt.Errorf("client for the informers: %w", err)
	}
	return restClient{c}, nil
}

type restClient struct{ rest.Interface }

func (c restClient) List(ctx context.Context, resource schema.GroupVersionResource, namespace string, opts metav1.ListOptions) (*List, error) {
	var list List
	err := c.request(resource, namespace, opts).Do(ctx).Into(&list)
	if err != nil {
		return nil, err
	}
	return &list, nil
}

func (c restClient) Watch(ctx context.Context, resource schema.GroupVersionResource, namespace string, opts metav1.ListOptions) (watch.Interface, error) {
	opts.Watch = true
	return c.request(resource, namespace, opts).Watch(ctx)
}

func (c restClient) request(resource schema.GroupVersionResource, namespace string, opts metav1.ListOptions) *rest.Request {
	return c.Get().AbsPath(pathOf(resource, namespace)).SpecificallyVersionedParams(&opts, parameters, schema.GroupVersion{Version: "v1"})
}

// pathOf is where the objects of a type are.
func pathOf(resource schema.GroupVersionResource, namespace string) string {
	root := path.Join("/apis", resource.Group, resource.Version)
	if resource.Group == "" {
		root = path.Join("/api", resource.Version)
	}
	if namespace != "" {
		root = path.Join(root, "namespaces", namespace)
	}
	return path.Join(root, resource.Resource)
}

// What client-go wants for options and for the frames of a watch.
var (
	scheme     = newScheme()
	parameters = runtime.NewParameterCodec(scheme)
)

func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	metav1.AddToGroupVersion(s, schema.GroupVersion{Version: "v1"})
	return s
}

// serializer makes client-go decode objects as an [Object].
type serializer struct{}

// SupportedMediaTypes implements [runtime.NegotiatedSerializer].
func (serializer) SupportedMediaTypes() []runtime.SerializerInfo {
	frames := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{})
	return []runtime.SerializerInfo{{
		MediaType: runtime.ContentTypeJSON, MediaTypeType: "application", MediaTypeSubType: "json", EncodesAsText: true,
		Serializer:       frames,
		StreamSerializer: &runtime.StreamSerializerInfo{EncodesAsText: true, Serializer: frames, Framer: json.Framer},
	}}
}

// EncoderForVersion implements [runtime.NegotiatedSerializer]. Nothing is written.
func (serializer) EncoderForVersion(e runtime.Encoder, _ runtime.GroupVersioner) runtime.Encoder {
	return e
}

// DecoderToVersion implements [runtime.NegotiatedSerializer].
func (serializer) DecoderToVersion(runtime.Decoder, runtime.GroupVersioner) runtime.Decoder {
	return decoder{}
}

// decoder decodes what an API server answers to a list or watch.
type decoder struct{}

// Decode implements [runtime.Decoder]: into a List if that is asked for and the answer
// is no error.
func (decoder) Decode(data []byte, _ *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	list, isList := into.(*List)
	decoded, kind, err := decode(data, list)
	if err != nil {
		return nil, nil, err
	}
	if kind.Kind == "Status" && kind.APIVersion == "v1" {
		status := &metav1.Status{}
		if err := kjson.UnmarshalCaseSensitivePreserveInts(data, status); err != nil {
			return nil, nil, fmt.Errorf("%w: a status: %w", errUndecodable, err)
		}
		if isList && status.Status != metav1.StatusFailure {
			return nil, nil, fmt.Errorf("%w: it is a status (%s), not a list", errUndecodable, status.Status)
		}
		decoded = status
	} else if isList {
		if err := check(list, data); err != nil {
			return nil, nil, err
		}
	}
	gvk := kind.GroupVersionKind()
	return decoded, &gvk, nil
}

// decode does not look for the kind first: that would be to read a long list twice.
func decode(data []byte, list *List) (runtime.Object, metav1.TypeMeta, error) {
	if list == nil {
		o := &Object{}
		err := o.UnmarshalJSON(data)
		return o, o.kind, err
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, list); err != nil {
		return nil, metav1.TypeMeta{}, fmt.Errorf("%w: a list: %w", errUndecodable, err)
	}
	return list, list.TypeMeta, nil
}

// check refuses what is not a list of objects. A proxy's page that happens to be JSON,
// taken for an empty list, would be the end of all objects.
func check(list *List, data []byte) error {
	if list.Kind == "" || list.APIVersion == "" {
		return fmt.Errorf("%w: it has no kind and apiVersion", errUndecodable)
	}
	if list.Items == nil {
		if _, ok := valueAt(data, "items"); !ok { // null will do
			return fmt.Errorf("%w: a %s of %s has no items", errUndecodable, list.Kind, list.APIVersion)
		}
	}
	if slices.Contains(list.Items, nil) {
		return fmt.Errorf("%w: a %s of %s has items that are null", errUndecodable, list.Kind, list.APIVersion)
	}
	return nil
}
