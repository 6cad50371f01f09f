/** What a scanner of images finds in the image. */

import { assertEquals } from "@std/assert";
import { containerTest, engine } from "../container/engine.ts";
import { buildImages, MULTIBINDER } from "../container/images.ts";
import { attempt, must } from "../support/docker.ts";
import { runProgram } from "../support/program.ts";
import { tempDir } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const script = `${ROOT}/scripts/check/trivy.sh`;
const { code, stdout, stderr } = await runProgram([script], { env: Deno.env.toObject() });
const folder = tempDir();
globalThis.addEventListener("unload", () => folder[Symbol.dispose]());
const trivy = [stdout.trim(), "--quiet", "--cache-dir", folder.file("cache")] as const;
/** Whether Trivy can fetch what is known of vulnerabilities, from a registry of images. */
const hasList = code === 0 &&
  (await attempt([...trivy, "image", "--download-db-only"])).code === 0;

/** What Trivy reports, as far as it matters here. */
interface Report {
  Results?: {
    Secrets?: { RuleID: string }[];
    Misconfigurations?: { ID: string }[];
    Vulnerabilities?: { VulnerabilityID: string; PkgName: string }[];
  }[];
}

/** Runs Trivy. */
async function scan(...words: string[]): Promise<Required<Report>["Results"]> {
  const report: Report = JSON.parse(await must([...trivy, ...words, "--format", "json"]));
  return report.Results ?? [];
}

/** The image as an archive. */
async function archive(): Promise<string> {
  await buildImages();
  const file = folder.file("image.tar");
  await engine.run("save", "--output", file, MULTIBINDER);
  return file;
}

const noScanner = ignoreUnless(code === 0, `Trivy cannot be had: ${stderr.trim()}`);

containerTest(
  "a scanner finds the packages in the image, no secret, and one thing to think of",
  async () => {
    const image = ["image", "--input", await archive(), "--skip-db-update"];
    // That it would find one.
    const key = [
      "-----BEGIN RSA PRIVATE KEY-----",
      "MIIB".repeat(20),
      "-----END RSA PRIVATE KEY-----",
    ];
    Deno.mkdirSync(folder.file("planted"));
    Deno.writeTextFileSync(folder.file("planted/key.pem"), key.join("\n"));
    const secrets = async (...words: string[]) =>
      (await scan(...words, "--scanners", "secret")).flatMap(({ Secrets = [] }) =>
        Secrets.map(({ RuleID }) => RuleID)
      );
    assertEquals(await secrets("rootfs", folder.file("planted")), ["private-key"]);
    assertEquals(await secrets(...image), []);

    const bill = JSON.parse(await must([...trivy, ...image, "--format", "cyclonedx"]));
    const packages = (bill.components as { purl?: string }[]).map(({ purl = "" }) => purl)
      .filter((purl) => purl.startsWith("pkg:npm/")).map((purl) => purl.replace(/@[^@]*$/, ""));
    const carried = ["acorn", "deno-std", "eta", "smol-toml"].map((name) => `pkg:npm/${name}`);
    assertEquals(packages.toSorted(), carried);

    // Not as root: so it is by choice, since a port below 1024 wants more than that elsewhere (docs/containers.md).
    const dockerfile = await scan(
      ...["config", "--skip-policy-update", "--severity", "HIGH,CRITICAL", `${ROOT}/Dockerfile`],
    );
    const found = dockerfile.flatMap(({ Misconfigurations = [] }) =>
      Misconfigurations.map(({ ID }) => ID)
    );
    assertEquals(found, ["DS002"]);
  },
  noScanner,
);

containerTest(
  "a scanner finds no vulnerability in the image that a newer package mends",
  async () => {
    const grave = ["--severity", "HIGH,CRITICAL", "--ignore-unfixed", "--scanners", "vuln"];
    const results = await scan("image", "--input", await archive(), "--skip-db-update", ...grave);
    assertEquals(results.flatMap(({ Vulnerabilities = [] }) => Vulnerabilities), []);
  },
  // It does not say why.
  noScanner || ignoreUnless(hasList, "Trivy cannot fetch its list of known vulnerabilities"),
);
