import { assertThrows } from "@std/assert";
import { UserError } from "../../errors.ts";
import { insistOnReloadable } from "./own_binds.ts";

const check = (text: string, ...words: string[]) =>
  insistOnReloadable([{ path: "site.cfg", text }], ["haproxy", ...words]);

Deno.test("what two processes cannot bind at once is refused, with file, line and remedy", () => {
  const refused: [text: string, why: RegExp][] = [
    [
      "a\n  bind abns@h accept-proxy",
      /^site\.cfg:2: abns@h is an abstract name, .*bind\('abns@h'\)/,
    ],
    ["bind abnsz@h", /bind\('abnsz@h'\)/],
    ['bind "abns@h"', /: abns@h is/],
    ["bind :80,abns@h", /: abns@h is/],
    ["stats socket abns@s level admin", /give it a path/],
    ["dgram-bind abns@d", /give it a path/],
    ["noreuseport\nbind :80", /^site\.cfg:2: :80 is a port without SO_REUSEPORT \(site\.cfg:1\)/],
  ];
  for (const [text, why] of refused) {
    const { message } = assertThrows(() => check(text), UserError);
    if (!why.test(message)) throw new Error(`${text}: ${message}`);
  }
  assertThrows(() => check("bind 127.0.0.1:80", "-dR"), UserError, "(-dR)");
});

Deno.test("what two can bind, what is inherited and what is said by the way is not", () => {
  check(
    [
      "bind :80",
      "bind /run/site.sock",
      "stats socket /run/haproxy.sock",
      "bind fd@3",
      "# bind abns@h",
      "server s abns@h",
      "description 'bind abns@h'",
      "bind :443 # no abns@h",
      "dgram-bind :514",
      ".if defined(NEVER)",
      "bind abns@h",
      ".endif",
    ].join("\n"),
  );
  check("noreuseport\nbind fd@3\nbind /run/site.sock\nserver s :80");
});
