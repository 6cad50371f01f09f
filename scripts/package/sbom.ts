/**
 * Prints what the program is made of: a bill of materials as CycloneDX 1.5 has it, in JSON.
 *
 *     deno run --allow-read --allow-run --allow-env scripts/package/sbom.ts
 *
 * The packages are those that the program's modules import, each with the digest in deno.lock; Deno's runtime
 * comes with the binary.
 */
// deno-lint-ignore-file no-console -- a script speaks to the terminal
import { VERSION } from "../../src/version.ts";

/** What `deno info --json` tells of a module graph, as far as it matters here. */
interface Graph {
  modules: { kind: string; npmPackage?: string }[];
  npmPackages: Record<string, { name: string; version: string; dependencies: string[] }>;
}

const root = new URL("../../", import.meta.url);

/** What `deno info --json` tells: of a module, or of Deno itself. */
async function info<T>(...modules: string[]): Promise<T> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", ...modules],
    cwd: root.pathname,
    stderr: "inherit",
  }).output();
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** The packages of a graph, and what they depend on. */
function packagesIn({ modules, npmPackages }: Graph): string[] {
  const found = new Set(modules.flatMap(({ npmPackage }) => npmPackage ?? []));
  for (const id of found) npmPackages[id]?.dependencies.forEach((one) => found.add(one));
  return [...found].toSorted();
}

/** The licence of a package, by its name in the list of SPDX. */
function licenceOf(cache: string, name: string, version: string): string {
  for (const { name: registry } of Deno.readDirSync(cache)) {
    try {
      const path = `${cache}/${registry}/${name}/${version}/package.json`;
      const { license } = JSON.parse(Deno.readTextFileSync(path));
      if (typeof license === "string") return license;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new Error(`${name} ${version} does not say what its licence is`);
}

const main = await info<Graph>("src/main.ts");
const { npmCache } = await info<{ npmCache: string }>();
const lock = JSON.parse(Deno.readTextFileSync(new URL("deno.lock", root)));
const ids = packagesIn(main);
const components = ids.map((id) => {
  const { name = "", version = "" } = main.npmPackages[id] ?? {};
  const integrity: string = lock.npm?.[id]?.integrity ?? "";
  const [, digest] = /^sha512-(.+)$/.exec(integrity) ?? [];
  if (digest === undefined) throw new Error(`deno.lock has no digest of ${id}`);
  const content = [...atob(digest)].map((one) => one.charCodeAt(0).toString(16).padStart(2, "0"));
  const purl = `pkg:npm/${name}@${version}`;
  return {
    // Scanners leave out what has no reference.
    "bom-ref": purl,
    type: "library",
    name,
    version,
    licenses: [{ license: { id: licenceOf(npmCache, name, version) } }],
    purl,
    hashes: [{ alg: "SHA-512", content: content.join("") }],
  };
});
const DENO = `pkg:github/denoland/deno@v${Deno.version.deno}`;
const epoch = Number(Deno.env.get("SOURCE_DATE_EPOCH") ?? Date.now() / 1000);
console.log(JSON.stringify(
  {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {
      timestamp: new Date(epoch * 1000).toISOString(),
      component: {
        type: "application",
        name: "multibinder",
        version: VERSION,
        licenses: [{ license: { id: "MIT" } }],
        purl: `pkg:github/multibinder/multibinder@${VERSION}`,
      },
    },
    components: [
      {
        "bom-ref": DENO,
        type: "framework",
        name: "deno",
        version: Deno.version.deno,
        licenses: [{ license: { id: "MIT" } }],
        purl: DENO,
      },
      ...components,
    ],
  },
  null,
  2,
));
