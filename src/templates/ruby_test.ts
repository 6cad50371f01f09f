import { assert, assertNotMatch } from "@std/assert";
import { failure, FILE, renders } from "../../tests/support/templates.ts";

const FOR_EACH = "<% for (const x of list) { %> ... <% } %>";
const RUBY = "this is Ruby; multibinder templates are JavaScript (Eta): write ";

Deno.test("Ruby is named as such, with what to write instead", () => {
  const ruby: [template: string, line: number, instead: string][] = [
    ["\n<% 3.times do |i| %>x<% end %>", 2, "<% for (let i = 0; i < 3; i++) { %> ... <% } %>"],
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
    ["<%= nil %>", 1, "'' where nothing is printed"],
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
    ["<%= new Set([1]).size %><%= { first: 1 }.first %><%= [{ last: 0 }][0].last %>", "110"],
    [
      "<%= `a${1}` %><%= `b`.toUpperCase() %><%= `c` + `d` %><% const f = (x) => `hostname` %>",
      "a1Bcd",
    ],
    ["<% const Time = 1, File = 2 %><%= Time + File %>|<%= 7 % 4 * 3 %>", "3|9"],
    ["<% const a = {} %><%= a.b ?? '' %><%= ENV['N'] ? a.b : '' %><%= ENV.NONE ?? '' %>", ""],
    ["<%= 1.5 %><%= 'a.size' %><%= [1,\n2]\n.length %>", "1.5a.size2"],
  ]);
  for (const template of ["<% if (x { %><% } %>", "<%= foo( %>", "<%= {a: } %>", "<%= x y %>"]) {
    assertNotMatch(failure(template).message, /Ruby/);
  }
});
