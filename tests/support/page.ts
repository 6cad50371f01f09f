/** Pages of the documentation, and the fenced blocks on them. */

import { exists as isThere } from "./files.ts";

const ROOT = new URL("../../", import.meta.url);

/** A fenced block. */
export interface Block {
  /** Where it begins on its page. */
  line: number;
  /** What it says behind the fence: `sh` for commands. */
  language: string;
  text: string;
  /** Why no test types it, as a comment before it says, which readers of the page do not see. */
  whyNotTyped: string | undefined;
}

/** Every page that tells commands, by its path from the root of the repository. */
export function pages(): string[] {
  const docs = [...Deno.readDirSync(new URL("docs", ROOT))].map(({ name }) => `docs/${name}`);
  return [
    "README.md",
    ...docs.filter((path) => path.endsWith(".md")).toSorted(),
    "examples/docker/README.md",
  ];
}

/** The text of a page. */
export function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

/** Whether there is such a file or folder, by its path from the root of the repository. */
export function exists(path: string): boolean {
  return isThere(new URL(path, ROOT).pathname);
}

/** The fenced blocks of a page, in their order. */
export function blocksOf(path: string): Block[] {
  const page = read(path);
  const fences = /^(?:<!-- not typed: ([^]*?) -->\n+)?^```(.*)\n([^]*?)^```$/gm;
  return [...page.matchAll(fences)].map((match) => {
    const [, whyNotTyped, language = "", text = ""] = match;
    const line = page.slice(0, match.index).split("\n").length;
    return { line, language, text, whyNotTyped };
  });
}

/** The commands of a page that are to be typed, block by block. */
export function commandsOf(path: string): string[] {
  return blocksOf(path)
    .filter(({ language, whyNotTyped }) => language === "sh" && whyNotTyped === undefined)
    .map(({ text }) => text);
}

/** A file that a page shows. @param path of the file, which stands in a comment on its first line */
export function fileOn(page: string, path: string): string {
  const files = blocksOf(page).flatMap(({ text }) => text.split(/^(?=# \/)/m));
  const file = files.find((one) => one.startsWith(`# ${path}\n`));
  if (file === undefined) throw new Error(`${page} does not show ${path}`);
  return file;
}
