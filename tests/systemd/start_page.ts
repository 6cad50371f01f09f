/** What docs/start.md has one type, on a host with real systemd. */

import { assertMatch, assertStrictEquals } from "@std/assert";
import { containerTest } from "../container/engine.ts";
import { get } from "../support/http_client.ts";
import { Host } from "./host.ts";
import { madeOnce } from "./packages.ts";

containerTest("docs/start.md, typed in its order", async () => {
  const page = Deno.readTextFileSync(new URL("../../docs/start.md", import.meta.url));
  const steps = [...page.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, script = ""]) => script);
  assertStrictEquals(steps.length, 5);
  const { folder } = await madeOnce();
  await using host = await Host.bootPlain(["-v", `${folder}:/packages:ro`]);
  const type = async () => {
    // There is no network, and HAProxy is installed already.
    const install = /^apt-get install -y (\S+)( haproxy)?$/m;
    const script = steps.shift()?.replace(install, "dpkg --install $1") ?? "";
    return await host.run("bash", "-ec", `cd /packages\n${script}`);
  };
  await type();
  assertMatch(await type(), /^nothing is wrong; 1 address to hold\nbinder [^]* 0\.0\.0\.0:80 /);
  await type();
  assertStrictEquals(await get(host.target), "hello");
  await type();
  assertStrictEquals(await get(host.target), "hello again");
  assertMatch(await type(), /^binder [^]*upgraded[^]*^wrapper [^]*upgraded/m);
});
