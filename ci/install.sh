#!/usr/bin/env bash
# Makes agentsync available to the steps that follow: from PATH; or the released binary of the version that
# ci/version names, verified by its checksum; or, where there is no release, built from the action's own source.
set -euo pipefail
# shellcheck source=ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

source=${INPUT_BUILD_FROM_SOURCE:-auto}
case $source in auto | true | false) ;; *) fail 4 "build-from-source is '$source'; it must be auto, true or false" ;; esac

if [[ $source != true ]] && command -v agentsync >/dev/null; then
	agentsync version
	exit 0
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$(mktemp -d "${RUNNER_TEMP:-${TMPDIR:-/tmp}}/agentsync-bin.XXXXXX")

# fetch URL FILE: 0 with the file, 1 where the server says that there is none, and the end of the run otherwise.
fetch() {
	local protocols='=https' status
	case $1 in http://127.0.0.1:*) protocols='=http' ;; esac # a mirror on this machine, as in the tests
	status=$(curl --silent --show-error --location --proto "$protocols" --proto-redir "$protocols" --max-redirs 5 \
		--connect-timeout 20 --max-time 300 --retry 3 --output "$2" --write-out '%{http_code}' "$1") ||
		fail 1 "the download of $1 ended early"
	case $status in
	200) ;;
	404) return 1 ;;
	*) fail 1 "the download of $1 was answered $status" ;;
	esac
}

# released puts the released binary into $bin, or returns 1 where there is no release for this source.
released() {
	local version number os arch name want have
	version=${INPUT_VERSION:-$(<"$root/ci/version")}
	[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+$ ]] || { [[ -z ${INPUT_VERSION:-} ]] || fail 4 "version is '$version'; it must be like v0.1.0"; return 1; }
	number=${version#v}
	os=$(uname -s | tr '[:upper:]' '[:lower:]')
	arch=$(uname -m)
	case $arch in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; esac
	name=agentsync_${number}_${os}_${arch}.tar.gz
	[[ -n ${INPUT_RELEASES_URL:-} ]] || return 1
	fetch "$INPUT_RELEASES_URL/$version/SHA256SUMS" "$bin/SHA256SUMS" || return 1
	want=$(awk -v name="$name" '$2 == name { print $1 }' "$bin/SHA256SUMS")
	[[ $want =~ ^[0-9a-f]{64}$ ]] || fail 1 "$version has no $name: set build-from-source to true"
	fetch "$INPUT_RELEASES_URL/$version/$name" "$bin/$name" || fail 1 "$version lists $name and does not have it"
	# Before anything of it is unpacked: what is not the published file must not run.
	have=$(sha256sum "$bin/$name" 2>/dev/null || shasum -a 256 "$bin/$name")
	[[ ${have%% *} == "$want" ]] || fail 1 "$name is not the file that was published: its SHA-256 is ${have%% *}, and SHA256SUMS says $want"
	tar -xzf "$bin/$name" -C "$bin" agentsync || fail 1 "$name cannot be unpacked"
	rm "$bin/$name" "$bin/SHA256SUMS"
}

if [[ $source == true ]] || ! released; then
	[[ $source != false ]] || fail 4 "agentsync is not on PATH and not released, and build-from-source is false"
	command -v go >/dev/null || fail 4 "neither agentsync nor go is on PATH: add a step with actions/setup-go before this one"
	version=${ACTION_REF:-}
	(cd "$root" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X 'agentsync/internal/cli.Version=${version//\'/}'" -o "$bin/agentsync" .)
fi
[[ -z ${GITHUB_PATH:-} ]] || printf '%s\n' "$bin" >>"$GITHUB_PATH"
"$bin/agentsync" version
