// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"time"

	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// certificateLifetime is longer than any control plane lives, so nothing is ever rotated.
const certificateLifetime = 365 * 24 * time.Hour

// authority is a certificate authority. The API server's clients and etcd's have one each, so that a user of the cluster
// cannot reach etcd past the API server.
type authority struct {
	certificate *x509.Certificate
	encoded     []byte // the certificate, PEM encoded
	key         crypto.Signer
}

// keyPair is a certificate and its private key, PEM encoded.
type keyPair struct {
	certificate, key []byte
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	return key, nil
}

func newAuthority(name string) (*authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	certificate, err := certutil.NewSelfSignedCACert(certutil.Config{CommonName: name}, key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate of authority %s: %w", name, err)
	}
	encoded, err := certutil.EncodeCertificates(certificate)
	if err != nil {
		return nil, fmt.Errorf("encode certificate of authority %s: %w", name, err)
	}
	return &authority{certificate: certificate, encoded: encoded, key: key}, nil
}

// serviceNames are the names that Pods know the API server by, besides [ServiceIP].
var serviceNames = []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}

// issueServer makes a certificate for a server on the loopback address, which may also be used by it as a client. It is good for
// the service "kubernetes" too, in case somebody leads its address here.
func (a *authority) issueServer(name string) (keyPair, error) {
	return a.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    append([]string{"localhost"}, serviceNames...),
		IPAddresses: []net.IP{net.ParseIP(loopback), net.ParseIP(ServiceIP)},
	})
}

// issueClient makes a certificate by which the API server knows a user and the user's groups.
func (a *authority) issueClient(user string, groups []string) (keyPair, error) {
	return a.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// issue signs the template, after adding what all certificates have in common.
func (a *authority) issue(template *x509.Certificate) (keyPair, error) {
	name := template.Subject.CommonName
	key, err := newKey()
	if err != nil {
		return keyPair{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return keyPair{}, fmt.Errorf("serial number for %s: %w", name, err)
	}
	template.SerialNumber = serial
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.NotBefore = a.certificate.NotBefore
	template.NotAfter = time.Now().Add(certificateLifetime)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return keyPair{}, fmt.Errorf("sign certificate of %s: %w", name, err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return keyPair{}, fmt.Errorf("parse certificate of %s: %w", name, err)
	}
	certificatePEM, err := certutil.EncodeCertificates(certificate)
	if err != nil {
		return keyPair{}, fmt.Errorf("encode certificate of %s: %w", name, err)
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return keyPair{}, fmt.Errorf("encode key of %s: %w", name, err)
	}
	return keyPair{certificate: certificatePEM, key: keyPEM}, nil
}
