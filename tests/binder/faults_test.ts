/** Some of the faults that scripts/faults.sh goes through. */

import { assert, assertEquals } from "@std/assert";
import { FAULTS, FaultyBinder } from "../support/faults.ts";

/** One of each call, with the errors that it is most likely to have. */
const SOME = FAULTS.filter(({ deed, errno, nth }) =>
  nth === 1 && (errno === "ENOMEM" || (errno === "EMFILE" && deed === "bind"))
);

Deno.test(`${SOME.length} system calls that fail cost nobody else anything`, async () => {
  await using binder = new FaultyBinder();
  let reached = 0;
  for (const fault of SOME) {
    const finding = await binder.inject(fault);
    if (finding === undefined) continue;
    reached++;
    const { others, recovered, leaked } = finding;
    // Out of descriptors, the longest silent client makes room for the next.
    const made = fault.call === "accept4" && fault.errno === "EMFILE";
    const expected = { others: !made, recovered: true, leaked: 0 };
    assertEquals({ others, recovered, leaked }, expected, JSON.stringify(finding));
  }
  assert(reached > SOME.length / 2);
});
