// Package connect says in words why there is no connection to a store, for every kind of store. It connects to nothing.
package connect

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"agentsync/internal/state/store"
)

func connectError(detail, hint string, err error) error {
	return &store.ConnectError{Detail: detail, Hint: hint, Err: err}
}

// Explain says what the error of a connection means to a person: a *store.ConnectError, an error that matches
// store.ErrUnreachable or, where nobody knows what became of the request, store.ErrConnection. authority says where a
// user names the file of a certificate authority.
func Explain(err error, authority string) error {
	if known, ok := errors.AsType[*store.ConnectError](err); ok {
		return known
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return connectError("its certificate is signed by an authority that this machine does not trust",
			"if that authority is your own, or that of a proxy on the way, name the file with its certificate in "+authority,
			unknown)
	}
	if name, ok := errors.AsType[x509.HostnameError](err); ok {
		return connectError("its certificate is for another name",
			"write the address with the name that the certificate has, or give the store a certificate for this one", name)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return connectError("its certificate is out of date",
			"see whether the clock of this machine is right; if it is, the store needs a new certificate", invalid)
	}
	if other, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return connectError("its certificate is not accepted", "the store needs another certificate", other.Err)
	}
	if record, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return NoTLS(record)
	}
	failed, isNet := errors.AsType[*net.OpError](err)
	name, isName := errors.AsType[*net.DNSError](err)
	switch {
	case isNet && failed.Op == "proxyconnect":
		return connectError("the proxy does not let this machine connect",
			"see whether HTTPS_PROXY is right; NO_PROXY names hosts that are reached without it", failed.Err)
	case isNet && failed.Op == "remote error": // an alert of TLS
		return connectError("it refused the TLS connection", "see whether host and port are right", failed.Err)
	case isNet && failed.Op == "dial":
		return fmt.Errorf("%w: %w", store.ErrUnreachable, failed)
	case isName:
		return fmt.Errorf("%w: %w", store.ErrUnreachable, name)
	}
	return fmt.Errorf("%w: %w", store.ErrConnection, err)
}

// NoTLS is the error of a server that answers without TLS.
func NoTLS(err error) error {
	return connectError("what answers there does not speak TLS", "see whether host and port are right", err)
}
