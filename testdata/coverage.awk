# awk -f coverage.awk coverage.txt OUTPUT: holds what 'go test -cover' printed against the floors. A package with a
# floor must be in the output, and its own tests must run at least that share of its statements.
NR == FNR { if ($0 !~ /^#/ && NF == 2) floor[$1] = $2; next }
match($0, /coverage: [0-9.]+% of statements/) {
	package = ($1 == "ok") ? $2 : $1
	split(substr($0, RSTART, RLENGTH), word, /[ %]/)
	share[package] = word[2]
}
END {
	for (package in floor) {
		if (!(package in share)) {
			printf "%s has a floor of %s%%, and no tests were counted\n", package, floor[package]
			low = 1
		} else if (share[package] + 0 < floor[package] + 0) {
			printf "%s: its tests run %s%% of its statements; the floor in testdata/coverage.txt is %s%%\n",
				package, share[package], floor[package]
			low = 1
		}
	}
	exit low
}
