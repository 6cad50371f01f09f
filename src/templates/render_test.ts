import { assertEquals, assertStrictEquals } from "@std/assert";
import fc from "fast-check";
import { fails, failure, FILE, renders, run } from "../../tests/support/templates.ts";

/** Any text without a tag, rich in what a config or a template compiler could stumble over. */
const plainText = fc.array(
  fc.oneof(
    fc.constantFrom(
      "\r\n",
      "\n",
      "\r",
      "\t",
      "`",
      "\\",
      "${x}",
      "'",
      '"',
      "%>",
      "%%>",
      "-%>",
      "//",
    ),
    fc.constantFrom("\u2028", "\0", "<", "%", "é", "\ud800", "/*", "__eta", "%[src]", "#{x}"),
    fc.string({ unit: "binary" }),
  ),
).map((parts) => parts.join("")).filter((text) => !text.includes("<%") && !text.endsWith("<"));

Deno.test("text outside tags comes out byte for byte", () => {
  fc.assert(fc.property(plainText, (text) => assertStrictEquals(run(text).text, text)));
});

Deno.test("a comment leaves nothing behind, whatever it holds", () => {
  const comment = plainText.filter((text) => !/%>|-$|%$/.test(text));
  fc.assert(fc.property(plainText, comment, plainText, (before, inside, after) => {
    assertStrictEquals(run(`${before}<%#${inside}%>${after}`).text, before + after);
  }));
});

Deno.test("any string that a tag prints is printed unchanged", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (value) => {
    assertStrictEquals(run("<%= ENV['V'] %>", { V: value }).text, value);
  }));
});

Deno.test("tags are read as ERB reads them", () => {
  renders([
    ["", ""],
    ["a\n<% const x = 1 %>\n<%= x %>\n", "a\n\n1\n"],
    ["a\n<% const x = 1 -%>\n<%= x -%>\nb", "a\n1b"],
    ["<%= 1 -%>\r\nb", "1b"],
    ["<%= 1 -%>\n\nb", "1\nb"],
    ["<%= 1 -%> \nb", "1 \nb"],
    ["a\n \t<%- if (true) { -%>\n  b\n  <%- } -%>\nc", "a\n  b\nc"],
    ["x <%- 1 -%>\ny", "x y"],
    ["a <%% b %> c %%> d", "a <% b %> c %%> d"],
    ["<%%= x %> <%%# y %>", "<%= x %> <%# y %>"],
    ["<%= 'x%%>y' %>", "x%>y"],
    ["<%# a 'quote\n <%= bad( -%>\nb", "b"],
    ["<% # a Ruby programmer's comment -%>\nx", "x"],
    ["<% // don't %><%= 'it''s'.length %>".replace("''", "\\'"), "4"],
    ["<%= 1 // one %>|<%= 2; %>|<%~ '&<' %>|<%= '&<' %>|<%= %>", "1|2|&<|&<|"],
    ["<%=\n 'a' +\n 'b'\n%>", "ab"],
  ]);
});

Deno.test("statements span tags", () => {
  renders([
    ["<% for (const x of [1, 2]) { %><%= x %>,<% } %>", "1,2,"],
    ["<% [1, 2].forEach((x) => { %><%= x %>,<% }) %>", "1,2,"],
    ["<% if (false) { %>a<% } else { -%>\nb<% } %>", "b"],
    ["<% switch (2) { -%>\n<% case 1: %>a<% break -%>\n<% default: %>b<% } %>", "b"],
    ["a<% if (!ENV['X']) return %>b", "a"],
  ]);
});

Deno.test("every name is free for a template's own use", () => {
  renders([[
    "<% const options = 1, it = 2, bind = 3; var include = 4 %><%= options + it + bind %>",
    "6",
  ]]);
});

Deno.test("what is missing may have a default", () => {
  renders([
    ["[<%= ENV['NONE'] ?? '' %>|<%= null ?? '' %>|<%= 0 %>|<%= false %>]", "[||0|false]"],
    ["<%= ENV['NONE'] || 'x' %><%= ENV['NONE'] ?? 'y' %><%= ENV['A'] || 'z' %>", "xya"],
    ["<%= ENV.fetch('NONE', 'x') %><%= ENV.fetch('A') %>", "xa"],
  ], { A: "a" });
  assertStrictEquals(
    failure("<%= ENV.fetch('X') %>").message,
    `${FILE}:1: ENV has no 'X', in <%= ENV.fetch('X') %>`,
  );
});

Deno.test("the templates of the Ruby multibinder render unchanged", () => {
  const template = `global
  daemon
  user haproxy
<%# the only public port -%>
frontend http
  bind <%= bind_tcp('0.0.0.0', 80) %>
  bind <%= bind_tcp("127.0.0.1", "8080") -%>

  default_backend v1
`;
  assertEquals(run(template), {
    text: `global
  daemon
  user haproxy
frontend http
  bind fd@3
  bind fd@4
  default_backend v1
`,
    requests: [{ address: "0.0.0.0:80" }, { address: "127.0.0.1:8080" }],
  });
});

Deno.test("bind calls ask for the address as written", () => {
  const asked = (call: string) => run(`<%= ${call} %>`).requests;
  assertEquals(asked("bind_tcp('::1', 80)"), [{ address: "[::1]:80" }]);
  assertEquals(asked("bind_tcp('[::1]', ' 80 ')"), [{ address: "[::1]:80" }]);
  assertEquals(asked("bind_tcp('', 80)"), [{ address: ":80" }]);
  assertEquals(asked("bind_tcp('*', 80, {})"), [{ address: "*:80", options: {} }]);
  assertEquals(asked("bind_tcp('a', 80, { backlog: 0 })"), [{
    address: "a:80",
    options: { backlog: 0 },
  }]);
  assertEquals(asked("bind('unix:/run/x.sock', { backlog: 9 })"), [
    { address: "unix:/run/x.sock", options: { backlog: 9 } },
  ]);
});

Deno.test("bind calls refuse what is no address or option", () => {
  fails([
    ["<%= bind_tcp(80) %>", /:1: bind_tcp: ip must be a string like '0.0.0.0', not 80, in /],
    ["<%= bind_tcp('', ENV['PORT']) %>", /:1: ENV has no 'PORT'; set it, or write /],
    ["<%= bind_tcp('', true) %>", /bind_tcp: port must be a number, not true, in /],
    ["<%= bind_tcp('', '80x') %>", /port must be a number, not '80x'/],
    ["<%= bind_tcp('', 1.5) %>", /port must be a number, not 1.5/],
    ["<%= bind('') %>", /bind: address must be a string like ':80', not ''/],
    [
      "<%= bind(':80', { backlogs: 1 }) %>",
      /bind: there is no option backlogs; there are backlog, /,
    ],
    ["<%= bind(':80', 100) %>", /bind: options must be like \{ backlog: 100 \}, not 100/],
    ["<%= bind(':80', { backlog: -1 }) %>", /backlog must be a whole number from 0 to \d+, not -1/],
    ["<%= bind(':80', { backlog: 1.5 }) %>", /not 1.5/],
    ["<%= bind(':80', { backlog: '9s' }) %>", /not "9s"/],
  ]);
});

Deno.test("an error of bind names the template's line and keeps the cause", () => {
  const cause = new Error("no port in 'x'");
  const error = failure("a\r\nb <%= bind('x') %>\r\n", {
    bind: () => {
      throw cause;
    },
  });
  assertStrictEquals(error.message, `${FILE}:2: no port in 'x', in <%= bind('x') %>`);
  assertEquals([error.file, error.line, error.source], [FILE, 2, "<%= bind('x') %>"]);
  assertStrictEquals(error.cause, cause);
});

Deno.test("errors at run time name the line and the text", () => {
  fails([
    ["\n\n<%= bad_fn(1) %>", "3: bad_fn is not defined, in <%= bad_fn(1) %>"],
    ["<%= 1 %><%= null.x %>", "1: Cannot read properties of null (reading 'x'), in <%= null.x %>"],
    [
      "<%\n const a = 1\n\n a.b.c()\n%>",
      "4: Cannot read properties of undefined (reading 'c'), in a.b.c()",
    ],
    ["\u2028'\n<%= nope() %>", "2: nope is not defined, in <%= nope() %>"],
    ["a\n<%= `\n` %>\n<% nope() %>", "4: nope is not defined, in <% nope() %>"],
    [
      "<% if (true) { -%>\n<%= 1 %>\n<% } else { %>\n<% } nope() %>",
      "4: nope is not defined, in <% } nope() %>",
    ],
    ["\n<% throw 'no port' %>", "2: no port, in <% throw 'no port' %>"],
    ["<% port = 80 %>", "1: port is not defined; declare it: const port = 80, in <% port = 80 %>"],
    [
      "<%= Promise.resolve() %>",
      /:1: Promise\.resolve\(\) gives a promise; templates do not wait, in /,
    ],
    ["<%= bind_tcp %>", /:1: bind_tcp gives a function; call it: name\(\), in /],
    [
      "\n<% const a = {} %><%= a.prot %>",
      "2: a.prot gives undefined; if nothing is meant to stand there: a.prot ?? '', in <%= a.prot %>",
    ],
    ["\n<%= Number('x') %>", "2: Number('x') gives no number (NaN), in <%= Number('x') %>"],
    [
      "<%= include('x.eta') %>",
      /:1: Eta's include is not supported; multibinder templates have no layouts/,
    ],
  ]);
});

Deno.test("code that does not compile is found", () => {
  fails([
    ["a\n<%= foo( %>\n<%= 1 %>", "2: missing ) after argument list, in <%= foo( %>"],
    ["<%= 1 %>\n<%= a b %><% if (x) { %><% } %>", "2: Unexpected identifier 'b', in <%= a b %>"],
    ["<%\n let a\n let = = 2\n/* x */\n%>", /:3: .*, in let = = 2$/],
    [
      "<% const x = 1 %>\n<% const x = 2 %>",
      "2: Identifier 'x' has already been declared, in <% const x = 2 %>",
    ],
    ["<%= 1 %>\n<%= 2", "2: no %> closes this tag, in <%= 2"],
    ["<%= 1\n<%= 2 %>", /: no %> closes this tag before the next <%, in /],
    [
      "\n<% for (const x of []) { %>\n<% if (x) { %><% } %>",
      "2: no later tag closes what this one opens, in <% for (const x of []) { %>",
    ],
    ["a\n<% } %>", "2: no tag opened what this } closes, in <% } %>"],
    [
      "<% switch (1) { %>\n<% case 1: %>",
      /:1: this code is not complete; no text can follow it, in <% switch/,
    ],
    [
      "<%= 'a %> b' %>",
      /:1: Invalid or unexpected token; a %> within a string is written %%>, in /,
    ],
    ["<%= await x %>", "1: await is not supported; templates do not wait, in <%= await x %>"],
    ["<% for await (const x of y) { %><% } %>", /:1: await is not supported/],
  ]);
});

Deno.test("a render leaves no global behind", () => {
  const before = Object.keys(globalThis);
  failure("<% leaked = 1 %>");
  assertEquals(Object.keys(globalThis), before);
});
