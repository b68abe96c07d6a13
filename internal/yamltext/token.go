package yamltext

import (
	"strings"
	"unicode/utf8"
)

// TokenLength returns how many bytes of a line belong to what begins at offset: a quoted text to its closing quote, a
// key or a plain value to where YAML ends it, a bracket or another mark alone. It is at least 1 where the line goes on.
func TokenLength(line string, offset int) int {
	if offset >= len(line) {
		return 0
	}
	rest := line[offset:]
	switch first := rest[0]; first {
	case '"', '\'':
		for i := 1; i < len(rest); i++ {
			switch {
			case first == '"' && rest[i] == '\\':
				i++
			case rest[i] == first:
				return i + 1
			}
		}
		return len(strings.TrimRight(rest, " \t\r"))
	case '[', ']', '{', '}', ',', '|', '>', '?', '`', '@', '%', '#', ':':
		return 1
	case '-':
		if len(rest) == 1 || rest[1] == ' ' {
			return 1
		}
	case ' ', '\t':
		_, size := utf8.DecodeRuneInString(rest)
		return size
	}
	end := len(rest)
	for _, mark := range []string{": ", " #"} {
		if i := strings.Index(rest, mark); i >= 0 {
			end = min(end, i)
		}
	}
	if inFlow(line[:offset]) {
		if i := strings.IndexAny(rest, ",]}"); i >= 0 {
			end = min(end, i)
		}
	}
	token := strings.TrimSuffix(strings.TrimRight(rest[:end], " \t\r"), ":")
	_, size := utf8.DecodeRuneInString(rest)
	return max(len(token), size)
}

// inFlow reports whether a bracket that a line opens is still open at its end.
func inFlow(line string) bool {
	depth, quote := 0, byte(0)
	for i := range len(line) {
		switch c := line[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'' && (i == 0 || !isWordByte(line[i-1])):
			quote = c
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
	}
	return depth > 0
}
