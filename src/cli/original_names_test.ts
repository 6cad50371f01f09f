import { assertEquals, assertThrows } from "@std/assert";
import { UserError } from "../errors.ts";
import { meaningOf } from "./original_names.ts";

const ERB = "multibinder-haproxy-erb";

Deno.test("the original's programs are commands of this one, by their names alone", () => {
  const command = ["haproxy", "-Ds", "-f", "x.cfg.erb", "-p", "x.pid"];
  for (const name of ["multibinder-haproxy-wrapper", ERB]) {
    assertEquals(meaningOf(name, command), ["exec", "--", ...command]);
  }
  for (const name of ["multibinder", "multibinder-0.1.0", ""]) {
    assertEquals(meaningOf(name, command), undefined);
  }
});

Deno.test("--erb-write-only, wherever it stands, writes the first template beside itself", () => {
  for (const template of ["x.cfg.erb", "/etc/x.cfg.mb", "x.cfg.eta"]) {
    const target = template.replace(/\.\w+$/, "");
    const words = ["haproxy", "-f", template, "-p", "x.pid"];
    for (const at of [0, 1, 3, 5]) {
      const args = words.toSpliced(at, 0, "--erb-write-only");
      assertEquals(meaningOf(ERB, args), ["render", "--output", target, "--", template]);
    }
  }
  for (const args of [["haproxy"], ["haproxy", "-f"], ["haproxy", "-f", "x.cfg"]]) {
    assertThrows(() => meaningOf(ERB, [...args, "--erb-write-only"]), UserError, "a template");
  }
});
