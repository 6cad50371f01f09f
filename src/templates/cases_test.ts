/** Templates as people write them, and what comes of them: the text, or the error with its line. */

import { assert, assertStrictEquals } from "@std/assert";
import { failure, FILE, run } from "../../tests/support/templates.ts";

interface Case {
  name: string;
  template: string;
  env?: Record<string, string>;
  text?: string;
  /** The line that the error names, and what it says after the colon. */
  error?: [line: number, message: string];
}

const RUBY = "this is Ruby; multibinder templates are JavaScript (Eta): write ";
const LIST = { BACKENDS: "10.0.0.1:80,10.0.0.2:80" };

const CASES: Case[] = [
  {
    name: "servers from a list in the environment",
    template: `backend app
<% for (const [i, address] of ENV['BACKENDS'].split(',').entries()) { -%>
  server app<%= i + 1 %> <%= address %> check
<% } -%>
  option httpchk
`,
    env: LIST,
    text:
      "backend app\n  server app1 10.0.0.1:80 check\n  server app2 10.0.0.2:80 check\n  option httpchk\n",
  },
  {
    name: "the same with forEach, in lines that end in CRLF, after a byte order mark",
    template: "\ufeffbackend app\r\n<% ENV['BACKENDS'].split(',').forEach((a, i) => { -%>\r\n" +
      "  server s<%= i %> <%= a %>\r\n<% }) -%>\r\nend\r\n",
    env: LIST,
    text: "\ufeffbackend app\r\n  server s0 10.0.0.1:80\r\n  server s1 10.0.0.2:80\r\nend\r\n",
  },
  {
    name: "the same as one expression of several lines",
    template:
      "<%=\n  ENV['BACKENDS']\n    .split(',')\n    .map((a, i) => `  server s${i} ${a}`)\n    .join('\\n')\n%>\n",
    env: LIST,
    text: "  server s0 10.0.0.1:80\n  server s1 10.0.0.2:80\n",
  },
  {
    name: "a list that is not set",
    template: "\n<% for (const a of ENV['BACKENDS'].split(',')) { %><% } %>",
    error: [2, "ENV has no 'BACKENDS'; set it, or write ENV['BACKENDS'] ?? "],
  },
  {
    name: "servers from variables with a common prefix",
    template:
      "<% for (const [name, at] of Object.entries(ENV)) { if (!name.startsWith('SRV_')) continue -%>\n" +
      "  server <%= name.slice(4).toLowerCase() %> <%= at %>\n<% } -%>\n",
    env: { SRV_A: "a:1", OTHER: "x", SRV_B: "b:2" },
    text: "  server a a:1\n  server b b:2\n",
  },
  {
    name: "a condition with else, indentation taken away",
    template:
      "frontend f\n  <%- if (ENV['TLS'] === 'on') { -%>\n  bind <%= bind(':443') %> ssl crt /c.pem\n" +
      "  <%- } else { -%>\n  bind <%= bind(':80') %>\n  <%- } -%>\n",
    env: { TLS: "on" },
    text: "frontend f\n  bind fd@3 ssl crt /c.pem\n",
  },
  {
    name: "constants at the top, in a tag of several lines with comments",
    template:
      "<%\n// ports\nconst ports = [80, 8080] /* two */\nconst name = ENV['NAME'] || 'site' // don't\n-%>\n" +
      "frontend <%= name %>\n<% for (const port of ports) { %>  bind <%= bind_tcp('', port) %>\n<% } %>",
    text: "frontend site\n  bind fd@3\n  bind fd@4\n",
  },
  {
    name: "quotes within quotes",
    template: '<%= `log-format "%ci:%cp [%tr] ${ENV["F"]} \'x\'"` %>',
    env: { F: '{"a":null}' },
    text: 'log-format "%ci:%cp [%tr] {"a":null} \'x\'"',
  },
  {
    name: "HAProxy's own variables, sample fetches and Lua stay as they are",
    template:
      "bind \"fd@${FD_WEB}\"\nhttp-request set-header X %[src,lower] # '#{x}' %>\nuse-service lua.`x`\n",
    text:
      "bind \"fd@${FD_WEB}\"\nhttp-request set-header X %[src,lower] # '#{x}' %>\nuse-service lua.`x`\n",
  },
  {
    name: "a comment that holds code, and one that spans lines",
    template: "<%# bind <%%= bind_tcp('', 1) -%>\na\n<%#\n don't\n -%>\nb\n",
    text: "a\nb\n",
  },
  {
    name: "a file that is read, whatever words it has",
    template:
      "<%= Deno.readTextFileSync('/proc/self/mounts').length > 0 ? 'errorfile 400 /dev/null' : '' %>",
    text: "errorfile 400 /dev/null",
  },
  {
    name: "a name joined from a variable that is not set",
    template: "a\n\n  server x <%= 'www.' + ENV['DOMAIN'] %>:80\n",
    error: [3, "ENV has no 'DOMAIN'; set it, or write ENV['DOMAIN'] ?? "],
  },
  {
    name: "a port that is not set",
    template: "frontend f\n  bind <%= bind_tcp('0.0.0.0', ENV['PORT']) %>\n",
    error: [2, "ENV has no 'PORT'; set it, or write ENV['PORT'] ?? "],
  },
  {
    name: "a port by Ruby's to_i",
    template: "\n<%= bind_tcp('0.0.0.0', ENV['PORT'].to_i) %>",
    env: { PORT: "80" },
    error: [2, `${RUBY}Number(x)`],
  },
  {
    name: "a brace that is forgotten",
    template: "<% if (ENV['X']) %>\n  option x\n  <%= 1 %>\n",
    error: [1, "this lacks its {, and a later tag the }"],
  },
  {
    name: "a loop without its brace",
    template: "\n<% for (const x of [1]) -%>\n  a <%= x %>\n",
    error: [2, "this lacks its {, and a later tag the }"],
  },
  {
    name: "Ruby in a tag of several lines: the hint is that of the line that fails",
    template: '<%\n  require "base64"\n  x = 1 if y\n%>',
    error: [2, `${RUBY}nothing: bind_tcp, bind and ENV are there already`],
  },
  {
    name: "a modifier in the third line",
    template: "<%\n  let x = 0\n  x = 1 if y\n%>",
    error: [3, `${RUBY}if (x) y = 1`],
  },
  {
    name: "a block in the middle of a tag",
    template: "a\n<% f('x') do |y| g(y) end %>",
    error: [2, `${RUBY}<% for (const x of list) { %> ... <% } %>`],
  },
  ...[
    "ENV.fetch('X') { 'd' }",
    "ENV.fetch 'X', 'd'",
    "ENV.fetch('X') do 'd' end",
    "ENV.fetch(\"X\") { |name| 'd' }",
  ].map((code) => ({
    name: `a default as Ruby has it: ${code}`,
    template: `\n\n<%= ${code} %>`,
    error: [3, `${RUBY}ENV.fetch('NAME', 'default')`] as [number, string],
  })),
  {
    name: "nested quotes of Ruby",
    template: '<%\n x = "server #{ENV["A"] || "b #{ENV[\'C\']}"}:80"\n%>',
    error: [2, RUBY + "`server ${ENV[\"A\"] || `b ${ENV['C']}`}:80`"],
  },
  {
    name: "each over the environment",
    template: "<% ENV.select { |k, v| k.start_with?('S') }.each do |k, v| %>x<% end %>",
    error: [1, `${RUBY}<% for (const [name, x] of Object.entries(ENV)) { %> ... <% } %>`],
  },
  {
    name: "a Ruby file test",
    template: "<%= File.exist?('/x') ? 1 : 2 %>",
    error: [1, `${RUBY}Deno.statSync('/path').isFile`],
  },
  {
    name: "Eta's data",
    template: "\n<%~ it.name %>",
    error: [2, "it is not defined; variables of"],
  },
  { name: "EJS's trims", template: "<%_ if (1) { _%>a<%_ } _%>", error: [1, "write <%- for <%_"] },
  {
    name: "EJS's raw",
    template: "<%== 'a' %>",
    error: [1, "write <%= for <%==; nothing is escaped"],
  },
  {
    name: "a name without quotes",
    template: "<%= ENV[PORT] %>",
    error: [1, "PORT is not defined; write ENV['PORT']"],
  },
  {
    name: "a call of ENV",
    template: "<%= ENV('PORT') %>",
    error: [1, "ENV is not a function; write ENV['NAME']"],
  },
  { name: "a symbol", template: "<%= ENV[:PORT] %>", error: [1, `${RUBY}'name' for :name`] },
  {
    name: "an apostrophe",
    template: "<%= 'it's' %>",
    error: [1, "Unexpected identifier 's', in "],
  },
];

for (const { name, template, env = {}, text, error } of CASES) {
  Deno.test(`as people write them: ${name}`, () => {
    if (error === undefined) return assertStrictEquals(run(template, env).text, text);
    const { message } = failure(template, { env });
    assert(message.startsWith(`${FILE}:${error[0]}: ${error[1]}`), message);
  });
}
