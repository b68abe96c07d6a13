package platform

import (
	"errors"
	"fmt"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
)

// EncodeBody returns fields as the JSON body of a request, keys sorted. It is the one place where a
// secret becomes plain text. The error names the field that holds a secret without a value (a
// template that was not resolved, or a sealed one) and never shows one.
func EncodeBody(fields agent.Fields) ([]byte, error) {
	body, _, err := encodeBody(agent.ContentOf(fields))
	return body, err
}

// usualBody is the room that the body of most agents needs, in bytes. More is no harm.
const usualBody = 1024

// encodeBody also returns the secrets that the body holds, so that they can be kept out of errors.
func encodeBody(content agent.Content) (body []byte, secrets []string, err error) {
	if doc, ok := content.Doc(); ok {
		return doc, nil, nil
	}
	fields := content.Fields()
	// Most agents hold no secret, which cannot be encoded as long as it is one.
	if body, err := agent.AppendDoc(make([]byte, 0, usualBody), fields); err == nil && !agent.Doc(body).HasSecrets() {
		return body, nil, nil
	}
	reveal := func(path string, leaf any) any {
		switch leaf := leaf.(type) {
		case secret.Text:
			plain, revealErr := leaf.Reveal()
			if revealErr != nil && err == nil {
				err = fmt.Errorf("%s: %w", path, revealErr)
			}
			secrets = append(secrets, plain)
			return plain
		case secret.Sealed:
			if err == nil {
				err = fmt.Errorf("%s: %w", path, errSealed)
			}
		}
		return leaf
	}
	plain := fields.Clone()
	agent.Walk("", map[string]any(plain), reveal)
	if err == nil {
		body, err = agent.AppendDoc(nil, plain) // with nothing sealed in it, plain JSON
	}
	if err != nil {
		return nil, nil, fmt.Errorf("encode agent: %w", err)
	}
	return body, secrets, nil
}

var errSealed = errors.New("a sealed secret cannot be sent")
