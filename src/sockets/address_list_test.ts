import { assertEquals, assertThrows } from "@std/assert";
import { UserError } from "../errors.ts";
import { expandAddresses } from "./address_list.ts";
import "../../tests/support/libc.ts";

Deno.test("lists, ranges and prefixes as in a bind line of HAProxy", () => {
  const table: [written: string, addresses: string[]][] = [
    [":80", [":80"]],
    [":80,:443", [":80", ":443"]],
    ["127.0.0.1:80, [::1]:80", ["127.0.0.1:80", "[::1]:80"]],
    [":8801-8803", [":8801", ":8802", ":8803"]],
    ["[::1]:8801-8801,:1", ["[::1]:8801", ":1"]],
    ["udp::53-54", ["udp::53", "udp::54"]],
    ["ipv4@:80", ["0.0.0.0:80"]],
    ["ipv4@*:80", ["0.0.0.0:80"]],
    ["tcp4@127.0.0.1:80-81", ["127.0.0.1:80", "127.0.0.1:81"]],
    ["ipv6@:80", ["[::]:80"]],
    ["ipv6@*:80", ["[::]:80"]],
    ["ipv6@::1:80", ["::1:80"]],
    ["tcp@localhost:80", ["localhost:80"]],
    ["udp4@:53", ["udp:0.0.0.0:53"]],
    ["udp6@[::1]:53", ["udp:[::1]:53"]],
    [":80,backlog=9,:443", [":80,backlog=9", ":443"]],
    [":80-81, backlog=9", [":80,backlog=9", ":81,backlog=9"]],
    ["ipv6@:80,v4v6,:81", ["[::]:80,v4v6", ":81"]],
    ["/run/a,backlog=9", ["unix:/run/a,backlog=9"]],
    ["/run/a", ["unix:/run/a"]],
    ["unix@/run/a-1:2-3", ["unix:/run/a-1:2-3"]],
    ["uxst@/run/a", ["unix:/run/a"]],
    ["unix:/run/8801-8802", ["unix:/run/8801-8802"]],
    ["abns@a", ["abns@a"]],
    ["abnsz@a", ["unix:@a"]],
    ["unix@@a", ["unix:@a"]],
  ];
  for (const [written, addresses] of table) {
    assertEquals(expandAddresses(written), addresses, written);
  }
});

Deno.test("what no socket can be held for is refused, with what to write instead", () => {
  const table: [written: string, why: RegExp][] = [
    ["fd@3", /a descriptor already; write it as it is/],
    ["sockpair@3", /a descriptor already/],
    ["quic4@:443", /QUIC listener cannot be inherited; write it as a plain bind line/],
    ["quic6@:443", /QUIC/],
    ["uxdg@/run/a", /datagram/],
    ["rhttp@a", /listens on no address/],
    ["mptcp4@:80", /write ipv4@/],
    ["ipv5@:80", /there is no ipv5@; .*ipv4@ ipv6@/],
    ["ipv4@[::1]:80", /\[::1\] is no address of ipv4@/],
    ["ipv6@127.0.0.1:80", /no address of ipv6@/],
    ["ipv4@localhost:80", /write its address/],
    [":8810-8801", /8810-8801 is no range of ports/],
    [":0-3", /no range of ports/],
    [":80-65536", /no range of ports/],
    [":80-", /no range of ports/],
    [":80,", /an address is HOST:PORT/],
    ["x", /an address is HOST:PORT/],
    [":80,x", /there is no option x; there are backlog, /],
    ["/run/a,x", /there is no option x; there are backlog, /],
    [":80,backlog=x", /backlog must be a whole number/],
    ["", /an address is HOST:PORT/],
  ];
  for (const [written, why] of table) {
    assertThrows(() => expandAddresses(written), UserError, why, written);
  }
});
