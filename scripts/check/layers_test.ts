import { assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { checkLayers } from "./layers.ts";

function check(files: Record<string, string>): string[] {
  return checkLayers(new Map(Object.entries(files)))
    .map(({ file, line, message }) => `${file}:${line}: ${message}`);
}

function assertRefused(file: string, code: string, expected: RegExp) {
  const violations = check({ [file]: code });
  assertStrictEquals(violations.length, 1, violations.join("\n"));
  assertMatch(violations[0] ?? "", expected);
}

Deno.test("imports that point down are accepted", () => {
  const violations = check({
    "mod.ts": `export { connect } from "./src/control/client.ts";\n`,
    "src/cli/command_line.ts": `import { parseArgs } from "@std/cli/parse-args";\n`,
    "src/cli/bind.ts":
      `import { Binder } from "../binder/binder.ts";\nimport { log } from "../log.ts";\n`,
    "src/binder/binder.ts":
      `import { Fd } from "../../ffi/fd.ts";\nimport { x } from "./policy.ts";\n`,
    "src/templates/render.ts": `import { Eta } from "eta/core";\n`,
    "src/wrapper/control.ts":
      `import { ControlServer } from "../control/server.ts";\nimport { Upgrade } from "../process/upgrade.ts";\n`,
    "src/process/upgrade.ts": `import { RpcError } from "../control/messages.ts";\n`,
    "src/control/client.ts": `import type { Address } from "../sockets/address.ts";\n`,
  });
  assertEquals(violations, []);
});

Deno.test("every form of import is seen, at its line", () => {
  const file = "src/binder/server.ts";
  const refused = /^src\/binder\/server\.ts:3: .*not src\/wrapper\/wrapper\.ts$/;
  assertRefused(file, `\n\nimport { a } from "../wrapper/wrapper.ts";`, refused);
  assertRefused(file, `import {\n  a,\n} from "../wrapper/wrapper.ts";`, refused);
  assertRefused(file, `\n\nimport "../wrapper/wrapper.ts";`, refused);
  assertRefused(file, `\n\nimport type { A } from "../wrapper/wrapper.ts";`, refused);
  assertRefused(file, `\n\nexport * from "../wrapper/wrapper.ts";`, refused);
  assertRefused(file, `\n\nexport {\n} from "../wrapper/wrapper.ts";`, /:4: /);
  assertRefused(file, `\n\nconst a = await import("../wrapper/wrapper.ts");`, refused);
  assertRefused(file, `\n\nlet a: import("../wrapper/wrapper.ts").A;`, refused);
  assertRefused(file, `\n\nawait import(name);`, /:3: computed import/);
});

Deno.test("the layers hold", () => {
  assertRefused("src/wrapper/wrapper.ts", `import "../binder/binder.ts";`, /not src\/binder/);
  assertRefused("src/sockets/listen.ts", `import "../control/client.ts";`, /not src\/control/);
  assertRefused("src/control/server.ts", `import "../wrapper/wrapper.ts";`, /not src\/wrapper/);
  assertRefused("src/servers/haproxy.ts", `import "../wrapper/wrapper.ts";`, /not src\/wrapper/);
  assertRefused("src/main.ts", `import "./binder/binder.ts";`, /not src\/binder/);
  assertRefused("src/log.ts", `import "./cli/bind.ts";`, /not src\/cli/);
  assertRefused("ffi/fd.ts", `import "../../src/errors.ts";`, /may import nothing/);
  assertRefused("mod.ts", `export * from "./ffi/fd.ts";`, /not ffi\/fd\.ts/);
  assertRefused("src/control/client.ts", `import "../strings.ts";`, /not src\/strings\.ts/);
});

Deno.test("packages are for whom the table names", () => {
  assertRefused("src/binder/binder.ts", `import "@std/cli/parse-args";`, /only for src\/cli/);
  assertRefused("src/cli/bind.ts", `import "eta/core";`, /only for src\/templates/);
  assertRefused(
    "src/sockets/address.ts",
    `import fc from "fast-check";`,
    /not an allowed dependency/,
  );
  assertRefused("src/sockets/address.ts", `import "node:http";`, /not an allowed dependency/);
  assertRefused("src/sockets/address.ts", `import "npm:eta@4/core";`, /not an allowed dependency/);
});

Deno.test("unsafe code and exits stay in their places, comments apart", () => {
  assertRefused("src/control/client.ts", `Deno.dlopen("libc.so.6", {});`, /dlopen.*ffi\/ alone/);
  assertRefused(
    "src/control/client.ts",
    `const { UnsafePointerView: V } = Deno;`,
    /UnsafePointerView/,
  );
  assertRefused("src/cli/bind.ts", `\nDeno.exit(1);`, /:2: Deno\.exit.*src\/main\.ts alone/);
  const fine = `/**\n * Deno.exit\n */\nDeno.exitCode = 1; // never Deno.dlopen\n`;
  assertEquals(check({ "src/cli/bind.ts": fine, "src/main.ts": "Deno.exit(0);" }), []);
});

Deno.test("servers are named behind their boundary alone, comments apart", () => {
  assertRefused(
    "src/wrapper/wrapper.ts",
    `\nlog("HAProxy: x");`,
    /:2: HAProxy.*src\/servers\/ alone/,
  );
  assertRefused("src/cli/exec.ts", "const help = `run nginx`;", /nginx.*src\/servers\/ alone/);
  assertRefused("src/binder/a.ts", "const isHaproxy = true;", /Haproxy/);
  const fine = `// as HAProxy has it\nexport const what = "computation";\n`;
  assertEquals(check({ "src/wrapper/a.ts": fine, "src/servers/a.ts": `"haproxy"` }), []);
});

Deno.test("a file without a row is refused", () => {
  assertRefused("src/strings.ts", "", /unknown file/);
  assertRefused("src/extra/a.ts", "", /unknown file/);
});

Deno.test("an import cycle is named", () => {
  const violations = check({
    "src/binder/a.ts": `import "./b.ts";`,
    "src/binder/b.ts": `import "./c.ts";`,
    "src/binder/c.ts": `\nimport type { A } from "./a.ts";`,
  });
  assertEquals(violations, [
    "src/binder/c.ts:2: import cycle: " +
    "src/binder/a.ts -> src/binder/b.ts -> src/binder/c.ts -> src/binder/a.ts",
  ]);
});
