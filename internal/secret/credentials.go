package secret

import "strings"

// ciTokens are the variables in which CI systems and the usual clouds hand their own credentials to a job. They
// are for the system itself: no agent and no platform has any use for them.
var ciTokens = map[string]bool{
	"GITHUB_TOKEN": true, "GH_TOKEN": true, "GH_ENTERPRISE_TOKEN": true, "GITHUB_ENTERPRISE_TOKEN": true,
	"ACTIONS_RUNTIME_TOKEN": true, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": true, "ACTIONS_ID_TOKEN_REQUEST_URL": true,
	"ACTIONS_CACHE_URL": true, "ACTIONS_RESULTS_URL": true,
	"CI_JOB_TOKEN": true, "CI_JOB_JWT": true, "CI_JOB_JWT_V1": true, "CI_JOB_JWT_V2": true, "CI_BUILD_TOKEN": true,
	"CI_REGISTRY_PASSWORD": true, "CI_DEPLOY_PASSWORD": true, "CI_DEPENDENCY_PROXY_PASSWORD": true,
	"CI_REPOSITORY_URL": true, "GITLAB_TOKEN": true, "GITEA_TOKEN": true, "FORGEJO_TOKEN": true,
	"SYSTEM_ACCESSTOKEN": true, "AZURE_DEVOPS_EXT_PAT": true, "CIRCLE_TOKEN": true, "CIRCLE_OIDC_TOKEN": true,
	"CIRCLE_OIDC_TOKEN_V2": true, "BITBUCKET_STEP_OIDC_TOKEN": true, "BUILDKITE_AGENT_ACCESS_TOKEN": true,
	"JENKINS_API_TOKEN": true, "TRAVIS_API_TOKEN": true, "DRONE_TOKEN": true, "NODE_AUTH_TOKEN": true,
	"NPM_TOKEN":         true,
	"AWS_ACCESS_KEY_ID": true, "AWS_SECRET_ACCESS_KEY": true, "AWS_SESSION_TOKEN": true,
	"AWS_CONTAINER_AUTHORIZATION_TOKEN": true, "AZURE_CLIENT_SECRET": true, "GOOGLE_CREDENTIALS": true,
	"VAULT_TOKEN": true, "SSH_PRIVATE_KEY": true, "PGPASSWORD": true, "AGENTSYNC_STATE_KEY": true,
}

// IsCIToken reports whether the environment variable name commonly holds a credential of the CI system, of its
// cloud or of agentsync's state. Names are compared without case, as Windows does.
func IsCIToken(name string) bool { return ciTokens[strings.ToUpper(name)] }
