// Rules that redocly's settings cannot express. redocly.yaml switches them on.
const SECRET = /(^|_)(token|secret|password|code|code_verifier|authorization)$/i;

// The generated models hide what is marked, so a secret without a mark is shown, and a mark on anything else hides that.
// `exempt` in redocly.yaml names fields that only look like secrets, such as language_code.
function secretsAreMarked({ exempt = [] }) {
  function check(name, schema, report, location) {
    if (exempt.includes(name)) return;
    const marked = schema.format === "password";
    if (SECRET.test(name) && !marked)
      report({ message: `\`${name}\` is a secret and needs \`format: password\`.`, location });
    if (!SECRET.test(name) && marked)
      report({ message: `\`${name}\` is not a secret, and \`format: password\` would hide it.`, location });
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

// A schema inside a body or a response gets a class with an invented name.
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
        "secrets-are-marked": secretsAreMarked,
        "schemas-have-names": schemasHaveNames,
      },
    },
  };
}
