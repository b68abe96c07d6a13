package agent

import "strings"

// SplitPointer returns the names and numbers that a JSON pointer is made of.
func SplitPointer(pointer string) []string {
	if pointer == "" {
		return nil
	}
	parts := strings.Split(pointer[1:], "/")
	for i, p := range parts {
		if strings.Contains(p, "~") {
			parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(p)
		}
	}
	return parts
}

// JoinPointer returns the JSON pointer that is made of names and numbers.
func JoinPointer(path []string) string {
	var b strings.Builder
	for _, t := range path {
		b.WriteString("/" + EscapePointer(t))
	}
	return b.String()
}
