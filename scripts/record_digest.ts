/** Records in a compiled program what its digest is: deno run --allow-read --allow-write scripts/record_digest.ts FILE */

import { recordDigest } from "../src/process/digest.ts";

const [path = ""] = Deno.args;
await recordDigest(path);
