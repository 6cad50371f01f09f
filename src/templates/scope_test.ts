import { assert, assertMatch, assertStrictEquals } from "@std/assert";
import { parse } from "acorn";
import { Eta } from "eta/core";
import { failure, FILE, renders, run } from "../../tests/support/templates.ts";
import { DATA, RESERVED } from "./emit.ts";

/** Every name that the compiled code of this version of Eta declares around a template. */
function namesOfEta(): string[] {
  const config = { varName: DATA };
  const source = new Eta(config).compile("").toString();
  const [compiled] = parse(source, { ecmaVersion: "latest" }).body;
  assertStrictEquals(compiled?.type, "FunctionDeclaration");
  const names = new Set<string>();
  for (const parameter of compiled.params) {
    assertStrictEquals(parameter.type, "Identifier");
    names.add(parameter.name);
  }
  for (const statement of compiled.body.body) {
    if (statement.type === "FunctionDeclaration") names.add(statement.id.name);
    if (statement.type !== "VariableDeclaration") continue;
    for (const { id } of statement.declarations) {
      assertStrictEquals(id.type, "Identifier");
      names.add(id.name);
    }
  }
  return [...names];
}

Deno.test("nothing of Eta's own can be used by a template, and every name is free", () => {
  const names = namesOfEta();
  for (const known of ["include", "layout", "block", "output", "capture", "options", "__eta"]) {
    assert(names.includes(known), `${known} is no longer Eta's: ${names}`);
  }
  for (const name of names.filter((each) => !RESERVED.includes(each))) {
    for (const use of [`${name}('x')`, `${name}('x', () => {})`, `${name}.x`, `new ${name}()`]) {
      const { message } = failure(`\n<%= ${use} %>`);
      assert(message.startsWith(`${FILE}:2: Eta's ${name} is not supported; `), message);
    }
    assertMatch(
      failure(`<%= ${name} %>`).message,
      new RegExp(`^${FILE}:1: ${name} gives a function`),
    );
    renders([
      [`<% const ${name} = 1 %><%= ${name} %>`, "1"],
      [`<% function ${name}() { return 2 } %><%= ${name}() %>`, "2"],
      [`<% for (const ${name} of [3]) { %><%= ${name} %><% } %>`, "3"],
    ]);
  }
});

Deno.test("a variable may have any name", () => {
  const names = [
    "constructor",
    "__proto__",
    "toString",
    "valueOf",
    "bind",
    "hasOwnProperty",
    "ENV",
    "then",
  ];
  for (const name of names) {
    const set = { ["fetch"]: "f", [name]: "v" };
    renders([
      [`<%= ENV['${name}'] %><%= ENV.${name} + '' %><%= ENV.fetch('${name}') %>`, "vvv"],
      [`<%= \`\${ENV['${name}']}\` %><%= ENV.fetch('NONE', 'd') %>`, "vd"],
      [`<%= bind(':80') %><%= Object.keys(ENV).length %>`, "fd@32"],
    ], Object.defineProperty({ ...set }, name, { value: "v", enumerable: true }));
    assertMatch(
      failure(`<%= ENV['${name}'] %>`).message,
      new RegExp(`ENV has no '${name}'; set it`),
    );
    assertMatch(
      failure(`<%= ENV.fetch('${name}') %>`).message,
      new RegExp(`ENV has no '${name}'`),
    );
    renders([[`<%= ENV['${name}'] ?? 'd' %><%= '${name}' in ENV %>`, "dfalse"]]);
  }
});

Deno.test("ENV.fetch is a function even where a variable has its name", () => {
  const env = { fetch: "value", A: "a" };
  renders(
    [["<%= ENV.fetch('fetch') %><%= ENV.fetch('A') %><%= ENV.fetch('B', 'b') %>", "valueab"]],
    env,
  );
  assertStrictEquals(run("<%= Object.entries(ENV).join(' ') %>", env).text, "fetch,value A,a");
  renders([[
    "<%= ENV['fetch'] %><%= ENV.fetch + 'd' %><%= [1].map(() => ENV.fetch('A')) %>",
    "valuevalueda",
  ]], env);
  renders([["<%= ENV.fetch('A') %><%= Object.keys(ENV) %>", "aA"]], {
    A: "a",
  });
});
