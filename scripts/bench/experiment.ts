/** Something that is measured of several contenders, in interleaved rounds of one run. */
// deno-lint-ignore-file no-console -- progress goes to the terminal

/** What is measured of each contender. */
export interface Column {
  /** At the head of the table, with the unit. */
  readonly name: string;
  /** Digits behind the point. */
  readonly digits?: number;
  /**
   * What the rounds come to: the median beside that of the reference, round by round; the median and the
   * spread, where there is no reference; or the sum.
   */
  readonly kind: "ratio" | "median" | "sum";
}

/** See the module's description. */
export interface Experiment {
  readonly title: string;
  /** What was done, for a reader of the table. */
  readonly about: string;
  readonly columns: readonly Column[];
  /** The contender that the others are compared with, if any. */
  readonly reference?: string;
  readonly rounds: number;
  /** Each measures once: a number for each column. */
  readonly contenders: Readonly<Record<string, () => Promise<readonly number[]>>>;
}

/** What was measured. */
export interface Result extends Pick<Experiment, "title" | "about" | "columns" | "reference"> {
  /** For each contender the numbers of each round, a number for each column. */
  readonly rows: Readonly<Record<string, readonly (readonly number[])[]>>;
}

/** Measures. Who is first changes from round to round. */
export async function measure(experiment: Experiment): Promise<Result> {
  const { title, about, columns, reference, rounds, contenders } = experiment;
  const names = Object.keys(contenders);
  const rows: Record<string, (readonly number[])[]> = {};
  for (let round = 0; round < rounds; round++) {
    for (let index = 0; index < names.length; index++) {
      const name = names[(index + round) % names.length] ?? "";
      const numbers = await contenders[name]?.() ?? [];
      (rows[name] ??= []).push(numbers);
      console.error(`${title}, round ${round + 1} of ${rounds}: ${name}: ${numbers.join(", ")}`);
    }
  }
  const inOrder = Object.fromEntries(names.map((name) => [name, rows[name] ?? []]));
  return {
    title,
    about,
    columns,
    ...(reference === undefined ? {} : { reference }),
    rows: inOrder,
  };
}

/** The middle one of some numbers, and the least and the greatest of them. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** @param values at least one */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number) => sorted[index] ?? NaN;
  const middle = (sorted.length - 1) / 2;
  const median = (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2;
  return { median, least: at(0), most: at(sorted.length - 1) };
}

/** The numbers of a contender in a column, by round. */
export function numbersOf(result: Result, name: string, column: number): number[] {
  return (result.rows[name] ?? []).map((numbers) => numbers[column] ?? NaN);
}

/** A contender's numbers as ratios to those of another one (by default the reference) in the same round. */
export function ratiosOf(
  result: Result,
  name: string,
  column: number,
  to: string = result.reference ?? "",
): Spread {
  const others = numbersOf(result, to, column);
  return spreadOf(numbersOf(result, name, column).map((value, at) => value / (others[at] ?? NaN)));
}

/** The table, as Markdown. */
export function tableOf(result: Result): string {
  const heads = result.columns.flatMap(({ name, kind }) =>
    kind === "ratio" ? [name, "times"] : [name]
  );
  const rows = Object.keys(result.rows).map((name) => [
    name,
    ...result.columns.flatMap((column, at) => cellsOf(result, name, column, at)),
  ]);
  return [["", ...heads], heads.map(() => "--:").toSpliced(0, 0, "---"), ...rows]
    .map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function cellsOf(result: Result, name: string, column: Column, at: number): string[] {
  const { digits = 0, kind } = column;
  const values = numbersOf(result, name, at);
  const spread = spreadOf(values);
  switch (kind) {
    case "sum":
      return [write(values.reduce((sum, one) => sum + one, 0), digits)];
    case "median":
      return [writeSpread(spread, digits)];
    case "ratio": {
      const isReference = name === result.reference;
      const ratio = isReference ? "1" : writeSpread(ratiosOf(result, name, at), 2);
      return [write(spread.median, digits), ratio];
    }
  }
}

/** A median, and in brackets from where to where the values go. */
export function writeSpread({ median, least, most }: Spread, digits: number): string {
  const all = [median, least, most].map((value) => write(value, digits));
  return all.every((one) => one === all[0]) ? all[0] ?? "" : `${all[0]} (${all[1]} to ${all[2]})`;
}

function write(value: number, digits: number): string {
  if (Number.isNaN(value)) return "";
  return value.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}
