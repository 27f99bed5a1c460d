// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"k8s.io/klog/v2"
)

// Files are those of a certificate and its key, both in PEM. The first may have the
// intermediate certificates too.
type Files struct{ Cert, Key string }

// CertificateInterval is how often the files of a certificate are looked at. A Secret that
// changes takes a kubelet a minute anyway.
const CertificateInterval = 10 * time.Second

// maxCertificateBytes is for each of the files.
const maxCertificateBytes = 1 << 20

// certificate follows its files: whoever issues certificates writes a new one there long
// before the old one is over.
type certificate struct {
	field   string // of the configuration that names the files
	files   Files
	current atomic.Pointer[tls.Certificate]
	seen    [sha256.Size]byte // of what was read last, good or not; watchLoop's
}

func newCertificate(field string, files Files) (*certificate, error) {
	c := &certificate{field: field, files: files}
	text, err := c.read()
	if err != nil {
		return nil, err
	}
	c.seen = text.digest()
	pair, err := text.pair()
	if err != nil {
		return nil, err
	}
	c.current.Store(pair)
	return c, nil
}

// get is a [tls.Config.GetCertificate].
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

// watchLoop takes over what is in the files when that has changed. What cannot be used is
// told once, and the certificate stays.
func (c *certificate) watchLoop(ctx context.Context) error {
	ticker := time.NewTicker(CertificateInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			c.refresh(klog.FromContext(ctx))
		}
	}
}

func (c *certificate) refresh(log klog.Logger) {
	text, err := c.read()
	digest := text.digest()
	if err != nil {
		digest = sha256.Sum256([]byte(err.Error()))
	}
	if digest == c.seen {
		return
	}
	c.seen = digest
	var pair *tls.Certificate
	if err == nil {
		pair, err = text.pair()
	}
	if err == nil && time.Now().After(pair.Leaf.NotAfter) {
		err = fmt.Errorf("%s.certFile: %s: it has expired at %s", c.field, c.files.Cert, pair.Leaf.NotAfter.Format(time.RFC3339))
	}
	if err != nil {
		log.Error(err, "The new certificate cannot be used: the one before stays", "notAfter", c.current.Load().Leaf.NotAfter)
		return
	}
	c.current.Store(pair)
	log.Info("The certificate was read again", "file", c.files.Cert, "notAfter", pair.Leaf.NotAfter)
}

// pemPair is what both files say.
type pemPair struct {
	field     string
	files     Files
	cert, key []byte
}

func (c *certificate) read() (text pemPair, err error) {
	text.field, text.files = c.field, c.files
	if text.cert, err = readFile(c.field+".certFile", c.files.Cert); err != nil {
		return pemPair{}, err
	}
	if text.key, err = readFile(c.field+".keyFile", c.files.Key); err != nil {
		return pemPair{}, err
	}
	return text, nil
}

func readFile(field, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxCertificateBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	if len(text) > maxCertificateBytes {
		return nil, fmt.Errorf("%s: %s is larger than 1 MiB: it is no PEM of this kind", field, path)
	}
	return text, nil
}

func (p pemPair) digest() [sha256.Size]byte {
	cert, key := sha256.Sum256(p.cert), sha256.Sum256(p.key)
	return sha256.Sum256(append(cert[:], key[:]...))
}

func (p pemPair) pair() (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(p.cert, p.key)
	if err != nil {
		return nil, fmt.Errorf("%s: %s with %s: %w", p.field, p.files.Cert, p.files.Key, err)
	}
	return &pair, nil
}
