// Compiles each schema of a folder with ajv, whose strict mode refuses keywords that it does not know, and says what it
// complains about. The keywords of the YAML language server are made known to it: docs/manifest.md, "Editors", says how.
const fs = require("fs");
const path = require("path");
const Ajv = require("ajv");
const formats = require("ajv-formats").default;

const dir = process.argv[2];
for (const name of fs.readdirSync(dir)) {
  const complaints = [];
  const note = (...words) => complaints.push(words.join(" "));
  try {
    const ajv = new Ajv({ strictTypes: false, logger: { log: note, warn: note, error: note } });
    ajv.addVocabulary(["errorMessage", "patternErrorMessage", "doNotSuggest"]);
    formats(ajv);
    ajv.compile(JSON.parse(fs.readFileSync(path.join(dir, name), "utf8")));
  } catch (e) {
    complaints.push(e.message);
  }
  complaints.forEach((c) => console.log(`${name}: ${c}`));
}
