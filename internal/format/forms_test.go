package format_test

import "testing"

// TestForms shows what becomes of one form each.
func TestForms(t *testing.T) {
	f := newFormatter(t)
	for _, test := range []struct{ name, src, want string }{
		{"windows line ends and byte order mark", "\ufeffa: 1\r\nb: |\r\n  x\r\n", "a: 1\n\nb: |\n  x\n"},
		{"last line without an end", "a: b", "a: b\n"},
		{"text without an end has one", "a: |\n  x", "a: |\n  x\n"},
		{"kept text without an end", "a: >2+\n  x\n\n  y", "a: >2+\n  x\n\n  y\n"},
		{"blanks behind a text without an end", "a: |+\n  x\n  ", "a: |+\n  x\n"},
		{"blank lines of a kept text", "a: |+\n    x\n\n\nb: 1\n", "a: |+\n  x\n\n\nb: 1\n"},
		{"no blank line is added behind a kept text", "cometchat:\n  a: |+\n    x\nx-b:\n  c: 1\n",
			"x-b:\n  c: 1\n\ncometchat:\n  a: |+\n    x\n"},
		{"spaces are text behind the indentation", "a: |\n x\n   \n  \n \n", "a: |\n  x\n    \n   \n"},
		{"an indentation that is said", "a:\n - |1\n    x\n", "a:\n  - |1\n     x\n"},
		{"an empty text", "a: |\nb: >-\n\nc: 1\n", "a: |\nb: >-\n\nc: 1\n"},
		{"value on the next line", "a:\n  b\nc:\n    - d\ne:\n  |\n   f\n", "a: b\n\nc:\n  - d\n\ne: |\n  f\n"},
		{"comment before the value", "a: # one\n  # two\n  b # three\n", "a:  # one\n  # two\n  b  # three\n"},
		{"list not indented", "a:\n- b\n# of c\nc: d\n", "a:\n  - b\n\n# of c\nc: d\n"},
		{"list in a list", "a:\n- - b\n  - c\n-\n  - d\n", "a:\n  - - b\n    - c\n  - - d\n"},
		{"comments behind a dash", "a:\n- # one\n  # two\n  b: c\n- # three\n  d\n",
			"a:\n  # one\n  # two\n  - b: c\n  # three\n  - d\n"},
		{"nothing behind a dash", "a:\n-\n-  # note\n- b\n", "a:\n  -\n  -  # note\n  - b\n"},
		{"nothing but a comment", "a:\n    # b: c\nd: e\n", "a:\n  # b: c\nd: e\n"},
		{"anchors and tags", "a:   &x   !!str b\nc: &y\n    d: *x\ne: &z\nf: !!str\n",
			"a: &x !!str b\n\nc: &y\n  d: *x\n\ne: &z\nf: !!str\n"},
		{"anchor on the next line", "a:\n  &x # one\n  b: c\n", "a: &x  # one\n  b: c\n"},
		{"anchor of a key", "&x a: b\n*x : c\n", "&x a: b\n*x : c\n"},
		{"several lines", "a: b\n     c\n\n     d\ne: \"f\n g\"\nh: 'i\n\n   j'\n",
			"a: b\n  c\n\n  d\n\ne: \"f\n  g\"\n\nh: 'i\n\n  j'\n"},
		{"what is a line break to YAML 1.1 alone", "a: |\n  é\u2028  b\u0085\nc: d\u2029e\n",
			"a: |\n  é\u2028  b\u0085\n\nc: d\u2029e\n"},
		{"escapes of JSON", "a: \"\\/ \\ud83d\\ude00 \\\\/\"\n", "a: \"\\/ \\ud83d\\ude00 \\\\/\"\n"},
		{"quotes", "'a': 'b'\n\"no\": 'it''s'\n'c d': '\"'\n\"e\": f\n",
			"a: \"b\"\n\"no\": \"it's\"\n\"c d\": '\"'\ne: f\n"},
		{"flow", "a: { b:  c ,\"d\":[ e,f, ], g: , h,}\ni: [ j: k, [ ] ,{ } ]\n",
			"a: {b: c, d: [e, f], g: , h}\ni: [j: k, [], {}]\n"},
		{"flow on several lines", "a:\n    b: {  # one\n        c: d,\n          e: f   # two\n    }\n",
			"a:\n  b: {  # one\n      c: d,\n      e: f   # two\n    }\n"},
		{"JSON", "{\"version\":1,\n\"mindset\":{}}\n", "{\"version\":1,\n  \"mindset\":{}}\n"},
		{"JSON of an agent", "a:\n- {\n  \"b\": [\n  1, \"c\n  d\"\n]}\n",
			"a:\n  - {\n      \"b\": [\n        1, \"c\n        d\"\n    ]}\n"},
		{"document mark", "# one\n\n---   # two\n\na: 1\n", "# one\n---  # two\na: 1\n"},
		{"blank lines", "\n\na: 1\n\n\n\nb:\n\n  c: 1\n\n\n", "a: 1\n\nb:\n  c: 1\n"},
		{"comments at the end", "a:\n  b: 1\n  # of b\n# of all\n\n\n# last\n",
			"a:\n  b: 1\n  # of b\n# of all\n\n# last\n"},
		{"the editor's line stays on top",
			"# yaml-language-server: $schema=x\n# of the section\nmindset: {}\nversion: 1\n",
			"# yaml-language-server: $schema=x\nversion: 1\n# of the section\nmindset: {}\n"},
		{"what heads the file stays on top", "# about\n\n# of the section\nmindset: {}\nversion: 1\n",
			"# about\n\nversion: 1\n# of the section\nmindset: {}\n"},
		{"comments below go along", "mindset: {}\n# of mindset\n\nversion: 1\n",
			"version: 1\nmindset: {}\n# of mindset\n"},
		{"no alias before its anchor", "mindset:\n  defaults: {tags: &t [a]}\nversion: 1\nx-a: *t\n",
			"version: 1\n\nmindset:\n  defaults: {tags: &t [a]}\n\nx-a: *t\n"},
		{"no alias to another anchor", "mindset: {live: &a 1}\nx-b: *a\nx-c: &a 2\nversion: *a\n",
			"mindset: {live: &a 1}\nx-b: *a\nx-c: &a 2\nversion: *a\n"},
		{"key, then what is merged", "x-a: &a {}\nmindset:\n  agents:\n  - agentName: N\n    <<: *a\n    key: k\n",
			"x-a: &a {}\n\nmindset:\n  agents:\n    - key: k\n      <<: *a\n      agentName: N\n"},
		{"order in flow style", "mindset: {agents: [{live: true, key: a, '<<': b}], appUid: a}\n",
			"mindset: {appUid: a, agents: [{key: a, live: true, \"<<\": b}]}\n"},
		{"twice the same key", "mindset:\n  b: 1\n  appUid: x\n  b: 2\n", "mindset:\n  appUid: x\n  b: 1\n  b: 2\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := mustFormat(t, f, []byte(test.src))
			if string(got) != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
			sameAgain(t, f, got)
			sameDecoded(t, []byte(test.src), got)
		})
	}
}
