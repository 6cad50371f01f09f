import {
  assert,
  assertEquals,
  assertMatch,
  assertNotMatch,
  assertStrictEquals,
  fail,
} from "@std/assert";
import fc from "fast-check";
import { render, type SocketRequest, TemplateError } from "./render.ts";

const FILE = "site.cfg.eta";

/** Renders with descriptors from 3 on, as the wrapper does, and keeps what was asked for. */
function run(template: string, env: Record<string, string> = {}) {
  const requests: SocketRequest[] = [];
  const text = render(template, {
    file: FILE,
    env,
    bind: (request) => `fd@${requests.push(request) + 2}`,
  });
  return { text, requests };
}

function failure(template: string, bind: () => string = () => "fd@3"): TemplateError {
  try {
    render(template, { file: FILE, env: {}, bind });
  } catch (error) {
    assert(error instanceof TemplateError);
    return error;
  }
  return fail(`rendered: ${template}`);
}

function renders(cases: [template: string, expected: string][], env = {}) {
  for (const [template, expected] of cases) assertStrictEquals(run(template, env).text, expected);
}

function fails(cases: [template: string, message: string | RegExp][]) {
  for (const [template, message] of cases) {
    const error = failure(template);
    if (typeof message === "string") assertStrictEquals(error.message, `${FILE}:${message}`);
    else assertMatch(error.message, message);
  }
}

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

Deno.test("what is missing prints as nothing", () => {
  renders([
    ["[<%= ENV['NONE'] %>|<%= null %>|<%= undefined %>|<%= 0 %>|<%= false %>]", "[|||0|false]"],
    ["<%= ENV['NONE'] || 'x' %><%= ENV['NONE'] ?? 'y' %><%= ENV['A'] || 'z' %>", "xya"],
    ["<%= ENV.fetch('NONE', 'x') %><%= ENV.fetch('A') %><%= ENV['toString'] %>", "xa"],
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
  assertEquals(asked("bind_tcp('*', 80, {})"), [{ address: "*:80" }]);
  assertEquals(asked("bind_tcp('a', 80, { backlog: 0 })"), [{ address: "a:80", backlog: 0 }]);
  assertEquals(asked("bind('unix:/run/x.sock', { backlog: 9 })"), [
    { address: "unix:/run/x.sock", backlog: 9 },
  ]);
});

Deno.test("bind calls refuse what is no address or option", () => {
  fails([
    ["<%= bind_tcp(80) %>", /:1: bind_tcp: ip must be a string like '0.0.0.0', not 80, in /],
    ["<%= bind_tcp('', ENV['PORT']) %>", /bind_tcp: port must be a number, not undefined, in /],
    ["<%= bind_tcp('', '80x') %>", /port must be a number, not '80x'/],
    ["<%= bind_tcp('', 1.5) %>", /port must be a number, not 1.5/],
    ["<%= bind('') %>", /bind: address must be a string like ':80', not ''/],
    [
      "<%= bind(':80', { backlogs: 1 }) %>",
      /bind: unknown option 'backlogs'; there is only backlog/,
    ],
    ["<%= bind(':80', 100) %>", /bind: options must be like \{ backlog: 100 \}, not 100/],
    ["<%= bind(':80', { backlog: -1 }) %>", /backlog must be a whole number from 0 to \d+, not -1/],
    ["<%= bind(':80', { backlog: 1.5 }) %>", /not 1.5/],
    ["<%= bind(':80', { backlog: '9' }) %>", /not '9'/],
  ]);
});

Deno.test("an error of bind names the template's line and keeps the cause", () => {
  const cause = new Error("no port in 'x'");
  const error = failure("a\r\nb <%= bind('x') %>\r\n", () => {
    throw cause;
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
    ["<%= Promise.resolve() %>", /:1: a promise was printed; templates do not wait, in /],
    ["<%= bind_tcp %>", /:1: a function was printed; call it: name\(\), in /],
    [
      "\n<% const a = {} %><%= a.prot %>",
      "2: there is no prot; if that is meant: x.prot ?? '', in <%= a.prot %>",
    ],
    ["\n<%= Number('x') %>", "2: this gives no number (NaN), in <%= Number('x') %>"],
    ["<%= include('x.eta') %>", /:1: include is not supported; HAProxy takes several -f files/],
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

const FOR_EACH = "<% for (const x of list) { %> ... <% } %>";
const RUBY = "this is Ruby; multibinder templates are JavaScript (Eta): write ";

Deno.test("Ruby is named as such, with what to write instead", () => {
  const ruby: [template: string, line: number, instead: string][] = [
    ["\n<% 3.times do |i| %>x<% end %>", 2, "<% for (const x of list) { %> ... <% } %>"],
    ["<% ports.each do |p| %>x<% end %>", 1, "<% for (const x of list) { %> ... <% } %>"],
    ["<% ports.each { |p| %>x<% } %>", 1, "<% for (const x of list) { %> ... <% } %>"],
    ["\n<% if x %>\n<% end %>", 2, "<% if (x) { %> ... <% } %>"],
    ["<% if (true) { %>\n<% end %>\n<% } %>", 2, "<% } %>"],
    ["<% unless x %>a<% end %>", 1, "<% if (!x) { %> ... <% } %>"],
    ["<% if (1) { %>a<% elsif x %>b<% } %>", 1, "<% } else if (x) { %>"],
    ["<%= bind_tcp('::', 80, :backlog => 1) %>", 1, "bind_tcp('0.0.0.0', 80, { backlog: 100 })"],
    ["<%= bind_tcp('::', 80, backlog: 1) %>", 1, "bind_tcp('0.0.0.0', 80, { backlog: 100 })"],
    ["<%= bind_tcp '::', 80 %>", 1, "bind_tcp('0.0.0.0', 80)"],
    ["<% puts 'x' %>", 1, "<%= x %>"],
    ["<% require 'json' %>", 1, "nothing: bind_tcp, bind and ENV are there already"],
    ["<%= nil %>", 1, "null"],
    ["<%= ENV['A'] if x %>", 1, "x ? 'yes' : 'no'"],
    ['<%= "p#{x}q" %>', 1, "`p${x}q`"],
    ["\n<%= 'a'.upcase %>", 2, "x.toUpperCase()"],
    ["<%= [1, 2].size; %>", 1, "x.length"],
    ["<%= [1, 2].first // one %>", 1, "x[0]"],
    ["<%= ENV.size %>", 1, "x.length"],
    ["<%= 'a'.gsub('a', 'b') %>", 1, "x.replaceAll('a', 'b')"],
    ["<% [1].each(String) %>", 1, FOR_EACH],
    ["<%= ENV['NONE'].strip %>", 1, "x.trim()"],
    ["<%= `hostname` %>", 1, "ENV['NAME'], and set NAME"],
    ["\n<%= `hostname -f`.strip %>", 2, "ENV['NAME'], and set NAME"],
    ["<%= '8'.to_i + 1 %>", 1, "Number(x)"],
    ["\n<%= '%d' % 5 %>", 2, "`${x}`"],
    ["<%= 'a' * 3 %>", 1, "'a'.repeat(3)"],
    ["<%= Time.now %>", 1, "new Date().toISOString()"],
    ["<%= File.read('/x') %>", 1, "Deno.readTextFileSync('/path')"],
    ["<%= IO.read('/x') %>", 1, "Deno.readTextFileSync('/path')"],
    ["<% const c = YAML.load_file('/x') %>", 1, "JSON.parse(Deno.readTextFileSync('/path'))"],
    ["<%= Socket.gethostname %>", 1, "Deno.hostname()"],
    ["<%= Etc.nprocessors %>", 1, "navigator.hardwareConcurrency"],
    ["<% if (ENV.key?('X')) { %><% } %>", 1, "ENV['NAME'] !== undefined"],
    ["<% if ENV.key?('X') %><% end %>", 1, "<% if (x) { %> ... <% } %>"],
    ["<%= [1].map(&:to_s) %>", 1, "x.map((each) => String(each))"],
    ["<% @x = 5 %>", 1, "const x = 1, and x without @"],
    ["<%= foo(:sym) %>", 1, "'name' for :name"],
    ["<% const x = :sym %>", 1, "'name' for :name"],
    ["<%= ENV['X'].nil? %>", 1, "!x for nil? and empty?"],
  ];
  for (const [template, line, instead] of ruby) {
    const { message } = failure(template);
    assert(message.startsWith(`${FILE}:${line}: ${RUBY}${instead}`), message);
  }
});

Deno.test("JavaScript is not taken for Ruby", () => {
  renders([
    ["<%= '#{x}' + `#{y}` + \"\\#{z}\" %> #{w}", "#{x}#{y}#{z} #{w}"],
    ["<% const end = 1, nil = 2; do { %>x<% } while (false) %><%= end + nil %>", "x3"],
    ["<% const puts = { unless: 1 } %><%= puts.unless ? 'a' : 'b' %>", "a"],
    ["<%= new Set([1]).size %><%= { first: null }.first %><%= [{ last: 0 }][0].last %>", "10"],
    ["<%= `a${1}` %><%= `b`.toUpperCase() %><%= `c` + `d` %><% `hostname` %>", "a1Bcd"],
    ["<% const Time = 1, File = 2 %><%= Time + File %>|<%= 7 % 4 * 3 %>", "3|9"],
    ["<% const a = {} %><%= a?.b %><%= a.b ?? '' %><%= ENV['N'] && a.b %><%= ENV.NONE %>", ""],
    ["<%= 1.5 %><%= 'a.size' %><%= [1,\n2]\n.length %>", "1.5a.size2"],
  ]);
  for (const template of ["<% if (x { %><% } %>", "<%= foo( %>", "<%= {a: } %>", "<%= x y %>"]) {
    assertNotMatch(failure(template).message, /Ruby/);
  }
});

Deno.test("a render leaves no global behind", () => {
  const before = Object.keys(globalThis);
  failure("<% leaked = 1 %>");
  assertEquals(Object.keys(globalThis), before);
});
