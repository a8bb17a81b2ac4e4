// Rules that redocly's settings can't express. redocly.yaml switches them on.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const LONG_RUN = 12;
// Hashes of every run of twelve words in Pipedrive's published reference: its text need not stand here.
const PUBLISHED = new Set(
  readFileSync(new URL("upstream_runs.txt", import.meta.url), "ascii").split(/\s+/).filter(Boolean),
);
const SECRET = /(^|_)(token|secret|password|code|code_verifier|authorization)$/i;

function copied(text) {
  const words = text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
  for (let start = 0; start + LONG_RUN <= words.length; start += 1) {
    const run = words.slice(start, start + LONG_RUN).join(" ");
    if (PUBLISHED.has(createHash("sha256").update(run).digest("hex").slice(0, 16))) return run;
  }
  return "";
}

function ownWords() {
  return {
    any: {
      enter(node, { report, location }) {
        for (const key of ["title", "summary", "description"]) {
          const run = typeof node?.[key] === "string" ? copied(node[key]) : "";
          if (run)
            report({
              message: `Say it in your own words; Pipedrive's reference has: ${run}.`,
              location: location.child(key),
            });
        }
      },
    },
  };
}

// The generated models hide what is marked, so a secret without a mark is shown, and a mark on anything else hides it.
function secretsAreMarked() {
  function check(name, schema, report, location) {
    const marked = schema.format === "password";
    if (SECRET.test(name) && !marked)
      report({ message: `\`${name}\` is a secret and needs \`format: password\`.`, location });
    if (!SECRET.test(name) && marked)
      report({ message: `\`${name}\` is no secret, and \`format: password\` would hide it.`, location });
  }
  return {
    Parameter(parameter, { report, location, resolve }) {
      const schema = resolve(parameter.schema ?? {}).node ?? {};
      check(parameter.name ?? "", schema, report, location);
    },
    SchemaProperties(properties, { report, location, resolve }) {
      for (const [name, property] of Object.entries(properties))
        check(name, resolve(property).node ?? {}, report, location.child(name));
    },
  };
}

// A schema that stands inside a body or an answer gets a class with a made-up name.
function schemasHaveNames() {
  return {
    MediaType(media, { report, location }) {
      if (media.schema && !media.schema.$ref)
        report({
          message: "Put this schema under components, so that its class has a name.",
          location: location.child("schema"),
        });
    },
  };
}

export default function ownRules() {
  return {
    id: "own",
    rules: {
      oas3: {
        words: ownWords,
        "secrets-are-marked": secretsAreMarked,
        "schemas-have-names": schemasHaveNames,
      },
    },
  };
}
