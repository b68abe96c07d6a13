// Package ci holds the scripts that action.yml and the templates in docs/ci run. There is no Go code in
// it but the tests: they run action.yml's own steps, in their order and with their environment, against
// the sandbox, a git repository and a server that answers as GitHub does.
package ci
