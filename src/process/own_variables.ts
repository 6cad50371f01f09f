/**
 * Variables of the environment that multibinder sets for programs that it starts: its successor in place,
 * and the server's generations. Whoever starts multibinder may have been started by one itself.
 * @module
 */

/** Where a successor finds the state, as `./successor.ts` says. */
export const STATE_VARIABLE = "MULTIBINDER_STATE_FD";

/** What marks a generation: its service, its wrapper, its number, and how many sockets it was lent. */
export const MARKS = {
  service: "MULTIBINDER_SERVICE",
  wrapper: "MULTIBINDER_WRAPPER",
  generation: "MULTIBINDER_GENERATION",
  sockets: "MULTIBINDER_SOCKETS",
} as const;

/**
 * The name of a file in memory that holds the marks as well, each followed by a NUL: some servers overwrite
 * their environment to show a title.
 */
export const MARKS_FILE = "multibinder-generation";

let stateVariable: string | undefined;

/** Removes these variables from the environment: neither this program nor its children may take them for theirs. */
export function dropOwnVariables(): void {
  stateVariable ??= Deno.env.get(STATE_VARIABLE);
  for (const name of [STATE_VARIABLE, ...Object.values(MARKS)]) Deno.env.delete(name);
}

/** Whether the program before this one has left a state, which was not taken yet. */
export function hasState(): boolean {
  return stateVariable !== undefined;
}

/** Takes the value that {@link STATE_VARIABLE} had at the start; undefined when it had none, or it was taken. */
export function takeStateVariable(): string | undefined {
  dropOwnVariables();
  const value = stateVariable;
  stateVariable = undefined;
  return value;
}
