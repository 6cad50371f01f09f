/** What can be said of a tag's code without parsing it, since it may not be JavaScript. */

export const LITERAL =
  /\/\/[^\n]*|\/\*[^]*?\*\/|'(?:\\[^]|[^'\\\n])*'|"(?:\\[^]|[^"\\\n])*"|`(?:\\[^]|[^`\\])*`/g;

/** The code with its comments dropped and its strings emptied: what is left is structure. */
export function bare(code: string): string {
  return code.replace(LITERAL, (literal) => literal.startsWith("/") ? " " : "''");
}

/** The property in which an expression ends, if its value can come from there alone. */
export function lastMember(code: string): string | undefined {
  const structure = bare(code).replace(/[\s;]+$/, "");
  return /&&|\?/.test(structure) ? undefined : /\.\s*([A-Za-z_$][\w$]*)$/.exec(structure)?.[1];
}
