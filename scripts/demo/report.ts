/** What the demonstration's requests say in the end: a table, and what is wrong with them. */

import { format } from "@std/fmt/duration";

/**
 * The parts of the demonstration, in their order, with the versions that may answer a request which
 * begins in that part. On new connections each of them must.
 */
export const PHASES = {
  before: { title: "before the switch", versions: ["V1"] },
  switch: { title: "during the switch", versions: ["V1", "V2"] },
  after: { title: "after the switch", versions: ["V2"] },
  reload: { title: "during the reload", versions: ["V2", "V3"] },
  end: { title: "after the reload", versions: ["V3"] },
} as const satisfies Record<string, { title: string; versions: string[] }>;

export type Phase = keyof typeof PHASES;

/** One request and what became of it. */
export interface Outcome {
  client: "new" | "keep-alive";
  /** In which it began. */
  phase: Phase;
  /** When it ended, in milliseconds since the traffic has begun. */
  at: number;
  /** From before the connect, if there was one, to the end of the answer. */
  milliseconds: number;
  /** The version that answered; absent when the request failed. */
  version?: string;
  /** Why it failed. */
  failure?: string;
}

/** What clients with keep-alive do besides requests. */
export interface KeepAlive {
  /** Connections after the first. */
  reconnects: number;
  /** Requests sent again on a new connection, since the server had closed the idle one. */
  retries: number;
}

export const VERSIONS = ["V1", "V2", "V3"];

/** The table of the outcomes, in lines of at most 100 columns. */
export function table(outcomes: readonly Outcome[], keepAlive: KeepAlive): string[] {
  const fresh = outcomes.filter(({ client }) => client === "new");
  const kept = outcomes.filter(({ client }) => client === "keep-alive");
  const parts = phases().map(([phase, { title }]) =>
    row(`  ${title}`, fresh.filter((outcome) => outcome.phase === phase))
  );
  const { reconnects, retries } = keepAlive;
  return [
    cells("", ["requests", ...VERSIONS, "failed", "p50", "p99"]),
    "a new connection for each request",
    ...parts,
    row("  all", fresh),
    "keep-alive",
    row("  all", kept),
    `  ${count(reconnects, "reconnect")}, ${
      count(retries, "request")
    } sent again on a new connection`,
  ];
}

/** What is wrong: requests that failed, and versions that answered where they must not, or never. */
export function problems(outcomes: readonly Outcome[]): string[] {
  const failures = tally(
    outcomes.flatMap(({ client, phase, failure }) =>
      failure === undefined ? [] : [`${label(client)}, ${PHASES[phase].title}: ${failure}`]
    ),
  );
  const wrong = phases().flatMap(([phase, { title, versions }]) => {
    const inPhase = outcomes.filter((outcome) => outcome.phase === phase);
    const answers = (client?: string) =>
      inPhase.filter((outcome) => client === undefined || outcome.client === client)
        .flatMap(({ version }) => version ?? []);
    const strangers = answers().filter((version) => !versions.some((known) => known === version));
    const silent = versions.filter((version) => !answers("new").includes(version));
    return [
      ...tally(strangers.map((version) => `answered by ${version}, ${title}`)),
      ...silent.map((version) => `${version} never answered ${title}`),
    ];
  });
  return [...failures, ...wrong];
}

/**
 * The value that the given part of all values does not pass (nearest rank).
 * @param part above 0, at most 1
 * @returns undefined when there are no values
 */
export function percentile(values: readonly number[], part: number): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.ceil(values.length * part) - 1];
}

function row(title: string, outcomes: readonly Outcome[]): string {
  const answered = outcomes.filter(({ failure }) => failure === undefined);
  const times = answered.map(({ milliseconds }) => milliseconds);
  return cells(title, [
    number(outcomes.length),
    ...VERSIONS.map((name) => number(answered.filter(({ version }) => version === name).length)),
    number(outcomes.length - answered.length),
    time(percentile(times, 0.5)),
    time(percentile(times, 0.99)),
  ]);
}

function cells(title: string, values: string[]): string {
  return title.padEnd(21) + values.map((value) => value.padStart(11)).join("");
}

function number(value: number): string {
  return value.toLocaleString("en-US");
}

function time(milliseconds: number | undefined): string {
  if (milliseconds === undefined) return "-";
  return format(Math.ceil(milliseconds * 10) / 10, { ignoreZero: true });
}

function count(n: number, noun: string): string {
  return `${number(n)} ${noun}${n === 1 ? "" : "s"}`;
}

function label(client: Outcome["client"]): string {
  return client === "new" ? "new connection" : "keep-alive";
}

/** Equal texts once, with their number. */
function tally(texts: readonly string[]): string[] {
  return [...Map.groupBy(texts, (text) => text)].map(([text, { length }]) =>
    `${count(length, "request")}: ${text}`
  );
}

function phases() {
  return (Object.keys(PHASES) as Phase[]).map((phase) => [phase, PHASES[phase]] as const);
}
