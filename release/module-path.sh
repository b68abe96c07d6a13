#!/usr/bin/env bash
# Renames the module, and every import of it, to the path of its repository:
#
#	release/module-path.sh github.com/OWNER/agentsync
#
# It changes the files of the checkout that it stands in; look at the diff, then commit it.
set -euo pipefail
new=${1:?usage: release/module-path.sh MODULE-PATH}
[[ $new =~ ^[a-z0-9.-]+\.[a-z]+(/[A-Za-z0-9._~-]+)+$ ]] || { echo "module-path: error: '$new' is no module path, such as github.com/OWNER/agentsync" >&2; exit 4; }
cd "$(dirname "$0")/.."
old=$(go list -m)
# Imports, build flags and rules name the packages by their folders; what else begins with the tool's name stays.
git ls-files -z -- '*.go' '*.go.txt' Makefile '*.sh' '*.yml' '.golangci.yml' | while IFS= read -r -d '' file; do
	sed -i.orig -E -e "s#([\"' ])$old/(internal|schema|ci|docs|\.\.\.)#\1$new/\2#g" -e "s#const module = \"$old\"#const module = \"$new\"#" "$file"
	rm "$file.orig"
done
go mod edit -module "$new"
(cd release && go mod edit -module "$new/release")
go list -deps -test ./... >/dev/null # every import is found
