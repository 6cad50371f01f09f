/** The demonstration's output: steps, and the answers as they come. */

import { bold, cyan, dim, green, red, setColorEnabled, yellow } from "@std/fmt/colors";

type Style = (text: string) => string;

const VERSION_STYLES: Record<string, Style> = { V1: cyan, V2: yellow, V3: green };
const FAILED = "!!";
const INDENT = "   ";
const COLUMNS = 100;

/** Standard output; in colour on a terminal, unless NO_COLOR is set. */
export class Screen {
  /** Answers that fit in a row, and those in the row that is being written. */
  readonly #width: number;
  #row = 0;
  #step = 0;

  constructor() {
    if (!Deno.stdout.isTerminal()) setColorEnabled(false);
    // Some terminals do not know their width and say 0.
    const columns = Deno.stdout.isTerminal() && Deno.consoleSize().columns || COLUMNS;
    this.#width = Math.max(1, Math.floor((Math.min(columns, COLUMNS) - INDENT.length - 1) / 2));
  }

  /** Begins a step: what is done, and the commands that do it. */
  step(title: string, ...commands: string[]): void {
    this.line("");
    this.line(`${++this.#step}. ${title}`, bold);
    commands.forEach((command) => this.command(command));
  }

  command(text: string): void {
    this.line(`${INDENT}$ ${text}`, dim);
  }

  note(text: string): void {
    this.line(`${INDENT}${text}`);
  }

  line(text: string, style: Style = String): void {
    this.endRow();
    this.#write(`${style(text)}\n`);
  }

  /** Adds an answer to the row: the version that gave it, or undefined for a failed request. */
  answer(version: string | undefined): void {
    const text = version ?? FAILED;
    if (this.#row === 0) this.#write(INDENT);
    this.#write((VERSION_STYLES[text] ?? red)(text));
    if (++this.#row >= this.#width) this.endRow();
  }

  endRow(): void {
    if (this.#row > 0) this.#write("\n");
    this.#row = 0;
  }

  #write(text: string): void {
    let rest = new TextEncoder().encode(text);
    while (rest.length > 0) rest = rest.subarray(Deno.stdout.writeSync(rest));
  }
}
