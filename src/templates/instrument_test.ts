import { assert, assertStrictEquals } from "@std/assert";
import fc from "fast-check";
import { fails, failure, FILE, renders, run } from "../../tests/support/templates.ts";

const UNSET = "ENV has no 'X'; set it, or write ENV['X'] ?? 'what stands there without it'";

Deno.test("a variable that is not set never becomes text, however it is written", () => {
  const ways = [
    "ENV['X']",
    "ENV.X",
    "`www.${ENV['X']}`",
    "`a${'b' + `c${ENV['X']}`}`",
    "ENV['X'] + ':80'",
    "'host ' + ENV['X']",
    "'a' + (ENV['X']) + 'b'",
    "('a') /* + */ + // +\n (ENV['X']) // +",
    "['a' + ENV['X']].length",
    "[1, 2].map((n) => n + ENV['X'])",
    "'a'.concat(ENV['X'])",
    "'a'.replace('a', ENV['X'])",
    "String(ENV['X'])",
    "encodeURIComponent(ENV['X'])",
    "String.raw`a${ENV['X']}`",
    "((text) => { text += ENV['X']; return text })('a')",
    "((o) => { o['t'] += ENV['X']; return o.t })({ t: 'a' })",
    "((text) => { return'a'+ENV['X'] })('a')",
  ];
  for (const way of ways) {
    const { message, line } = failure(`\n<%= ${way} %>`);
    assert(message.includes(UNSET), `${way}: ${message}`);
    assert(line === 2 || line === 3, message);
  }
});

Deno.test("what is no text never becomes text", () => {
  const missing = /gives (?:undefined|null); if nothing is meant to stand there: .* \?\? ''/;
  const object = /gives an object; print one of its properties, or JSON.stringify\(x\)/;
  const list = /gives a list with .*; leave out what is missing with .filter\(Boolean\)/;
  const number = /gives no number \((?:NaN|-?Infinity)\)/;
  const named = "<% const o = {}, u = undefined, l = ['a', u] %>";
  fails([
    [`${named}<%= o.port %>`, /o\.port gives undefined; .*: o\.port \?\? ''/],
    [`${named}<%= u + ':80' %>`, missing],
    [`${named}<%= \`:\${o.port}\` %>`, missing],
    [`${named}<% let t; t += 'a' %><%= t %>`, missing],
    [`${named}<% o.t += 'a' %>`, missing],
    ["<%= null %>", missing],
    ["<%= null + 1 %>", missing],
    ["<%= 'a' + null %>", missing],
    ["<%= undefined %>", missing],
    ["<%= JSON.stringify(undefined) %>", missing],
    ["<%= 'a'.match(/b/) %>", missing],
    [`${named}<%= ENV['X'] && u %>`, missing],
    [`${named}<%= o %>`, object],
    [`${named}<%= 'a' + o %>`, object],
    [`${named}<%= \`a\${o}\` %>`, object],
    [`${named}<%= String(o) %>`, object],
    ["<%= new Map([[1, 2]]) %>", object],
    ["<%= Object.create(null) %>", object],
    ["<%= ENV %>", object],
    [`${named}<%= l %>`, list],
    [`${named}<%= l.join(':') %>`, list],
    [`${named}<%= [1, l].join(':') %>`, list],
    [`${named}<%= 'a' + l %>`, list],
    ["<%= [ENV['X'], ENV['Y']].join(' ') %>", list],
    ["<%= [{}] %>", list],
    ["<%= [, 'a'].join() %>", list],
    ["<%= Number('x') %>", number],
    ["<%= 'maxconn ' + parseInt('x') * 2 %>", number],
    ["<%= `${1 / 0}` %>", number],
    ["<%= new Date('x') %>", /gives an invalid date/],
    ["<%= 'a' + bind %>", /bind gives a function; call it/],
    ["<%= `${Promise.resolve(1)}` %>", /gives a promise; templates do not wait/],
    ["<%= Symbol('a') %>", /gives Symbol\(a\)/],
  ]);
});

Deno.test("what is meant goes on working", () => {
  renders([
    ["<%= ENV['X'] || 'd' %><%= ENV['X'] ?? 'e' %><%= ENV['X'] ? 'f' : 'g' %>", "deg"],
    ["<% if (ENV['X']) { %>a<% } %><% if (!ENV['X']) { %>b<% } %>", "b"],
    [
      "<%= ENV['X'] === undefined %><%= ENV['X'] == null %><%= typeof ENV['X'] %>",
      "truetrueundefined",
    ],
    ["<%= 'X' in ENV %><%= Object.keys(ENV).length %><%= ENV['X']?.length ?? 0 %>", "false10"],
    ["<% const { X = 'd', SET } = ENV %><%= X + SET %>", "dyes"],
    ["<% ENV['X'] ||= 'now' %><%= ENV['X'] + ENV.fetch('X') %>", "nownow"],
    ["<%= `${ENV['X'] ?? ''}:80` %><%= (ENV['X'] || 'h') + ':80' %>", ":80h:80"],
    [
      "undefined null NaN [object Object] <%= 'undefined null' %>",
      "undefined null NaN [object Object] undefined null",
    ],
    ["<%= `log ${'/dev/null'} ` + 'NaN' %>", "log /dev/null NaN"],
    ["<%= JSON.stringify({ a: null }) %><%= 'a' + JSON.stringify([null]) %>", '{"a":null}a[null]'],
    ["<%= 1 + 2 %><%= 1 + 2 + 'a' %><%= 'a' + 1 + 2 %><%= 'a' + (1 + 2) %>", "33aa12a3"],
    ["<%= [1, 'a'] %><%= [1, [2, 3]].join(' ') %><%= [].join() %>", "1,a1 2,3"],
    ["<%= [ENV['X'], 'b'].filter(Boolean).join(':') %>", "b"],
    ["<%= true %><%= false %><%= 0 %><%= '' %><%= 10n %><%= 'a' + true %>", "truefalse010atrue"],
    ["<%= new URL('http://a/') %><%= `${new URL('http://b/')}` %>", "http://a/http://b/"],
    ["<%= { toString: () => 'own' } %>", "own"],
    [
      "<% let n = 1; n += 2; const o = { n: 1, t: 'a' }; o.n += 1; o['t'] += 'b' %><%= n + o.n + o.t %>",
      "5ab",
    ],
    ["<% let i = 0; const a = ['x', 'y']; a[i++] += 'z' %><%= a + i %>", "xz,y1"],
    ["<% const tag = (parts, ...values) => values.length; %><%= tag`${undefined}${null}` %>", "2"],
    ["<%= ENV['X']?.split(',').join(' ') ?? 'none' %>", "none"],
    ["<% switch ('a'+1) { case'a'+1: %>yes<% } %>", "yes"],
    ["<% const f = (a, b = 'x' + a) => { return`${a}`+b } %><%= f(1) %>", "1x1"],
    ["<%= ['a', 'b'].map((x) => { const { length: n } = x; return x + n }).join('+') %>", "a1+b1"],
    ["<% const t = 'a' + [1, 2].map((n) => { %>x<% return n }).join('') %><%= t %>", "xxa12"],
  ], { SET: "yes" });
});

Deno.test("text and sums are those of the language itself", () => {
  const value = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.bigInt().map((n) => `${n}`));
  fc.assert(fc.property(value, value, value, (a, b, c) => {
    const of = (x: unknown) => JSON.stringify(x);
    const code = `${of(a)} + (${of(b)}) + ${of(c)} + \`\${${of(a)}}\``.replaceAll("%>", "%%>");
    const plain = (a as string) + (b as string) + (c as string) + `${a}`;
    assertStrictEquals(
      run(`<%= ${code.replaceAll("<%", "<\\x25").replaceAll("#{", "#\\x7b")} %>`).text,
      plain,
    );
  }));
});

Deno.test("the checks and what they stand in are out of a template's reach", () => {
  for (const name of ["__eta", "__template"]) {
    const { message, line } = failure(`a\n<% if (true) {\n ${name}.res = 'x' } %>`);
    assertStrictEquals(line, 3);
    assert(
      message.startsWith(`${FILE}:3: ${name} is not there for templates to use, in `),
      message,
    );
  }
  renders([["<%= typeof this %><%= arguments.length %><%= '__eta' %>", "undefined1__eta"]]);
});

Deno.test("a tag that prints nothing, and only gives a value, lacks its =", () => {
  const forgotten = /:2: this prints nothing; <%= %> prints, in /;
  fails([
    ["\n<% bind_tcp('0.0.0.0', 80) %>", forgotten],
    ["\n<% if (true) { %><% bind(':80') %><% } %>", forgotten],
    ["\n<% ENV['X'] %>", forgotten],
    ["\n<% 'text' %>", forgotten],
    ["\n<% 'a' + 'b' %>", forgotten],
    ["\n<% `text` %>", forgotten],
    ["<% const name = 'a' %>\n<% name %>", forgotten],
    ["<% const l = []\nl << 'x' %>", /:2: this is Ruby; .* write x\.push\(y\), in l << 'x'/],
  ]);
  renders([
    ["<% const s = bind(':80') %><%= s %><% ENV.fetch('SET') %>", "fd@3"],
    ["<% [1].forEach(String); let n = 0; n++; [] %><%= n %>", "1"],
  ], { SET: "" });
});
