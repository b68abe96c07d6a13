package export

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxInline is how many lines of text stay in the manifest of a split export.
const maxInline = 4

// plainName is a name that can stand in a path on every system, and is no other name's there.
var plainName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)

// SplitFiles writes each agent as a manifest of its own, in a folder of the app, and its texts of more than a few lines as
// Markdown files beside the manifests, where ${file:} names them. schemaRef is as in Files, for a file in that folder.
func (d *Draft) SplitFiles(schemaRef string) []ManifestFile {
	folder := d.App.ID.Platform + "-" + d.App.ID.App
	files := make([]ManifestFile, len(d.Agents))
	for i, a := range d.Agents {
		texts := map[string][]byte{}
		fields := splitTexts(map[string]any(a.Fields), path.Join("prompts", a.Key), texts)
		section := Section{App: d.App, Agents: []Agent{{Key: a.Key, Fields: fields}}, Names: d.Names}
		files[i] = ManifestFile{
			Name: path.Join(folder, a.Key+".yaml"), Agents: 1, Content: File(d.Platform, schemaRef, section), Texts: texts,
		}
	}
	return files
}

// splitTexts returns a copy of fields whose long texts are references to files below folder, and adds these to texts.
func splitTexts(fields map[string]any, folder string, texts map[string][]byte) map[string]any {
	fields = maps.Clone(fields)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !plainName.MatchString(name) {
			continue
		}
		below := path.Join(folder, name)
		switch v := fields[name].(type) {
		case map[string]any:
			fields[name] = splitTexts(v, below, texts)
		case string:
			if strings.Count(v, "\n") >= maxInline && fitsTextFile(v) {
				file := below + ".md"
				texts[file] = []byte(v + "\n") // the one line end that reading takes away
				fields[name] = Reference("${file:" + file + "}")
			}
		}
	}
	return fields
}

// fitsTextFile reports whether a text file that is read gives back the text.
func fitsTextFile(s string) bool {
	return utf8.ValidString(s) && !strings.HasPrefix(s, "\ufeff") &&
		!strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' })
}
