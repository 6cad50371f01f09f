/** What can be said of a tag's code without parsing it, since it may not be JavaScript. */

/** A comment or a string. */
export const LITERAL =
  /\/\/[^\n]*|\/\*[^]*?\*\/|'(?:\\[^]|[^'\\\n])*'|"(?:\\[^]|[^"\\\n])*"|`(?:\\[^]|[^`\\])*`/g;

/** The code with its comments dropped and its strings emptied: what is left is structure. */
export function bare(code: string): string {
  return code.replace(LITERAL, (literal) => literal.startsWith("/") ? " " : "''");
}

/** The property that an expression ends with, if its value can come from nothing else. */
export function lastMember(code: string): string | undefined {
  const structure = bare(code).replace(/[\s;]+$/, "");
  return /&&|\?/.test(structure) ? undefined : /\.\s*([A-Za-z_$][\w$]*)$/.exec(structure)?.[1];
}
