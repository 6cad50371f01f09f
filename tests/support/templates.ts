/** Renders templates for tests, and says how they fail. */

import { assert, assertMatch, assertStrictEquals, fail } from "@std/assert";
import { render, type SocketRequest, TemplateError } from "../../src/templates/render.ts";

/** The name that templates have in errors. */
export const FILE = "site.cfg.eta";

/** Renders with descriptors from 3 on, as the wrapper does, and keeps what was asked for. */
export function run(template: string, env: Record<string, string> = {}) {
  const requests: SocketRequest[] = [];
  const text = render(template, {
    file: FILE,
    env,
    bind: (request) => `fd@${requests.push(request) + 2}`,
  });
  return { text, requests };
}

/** What a template that must not be rendered fails with. */
export function failure(
  template: string,
  { env = {}, bind = () => "fd@3" }: { env?: Record<string, string>; bind?: () => string } = {},
): TemplateError {
  let text;
  try {
    text = render(template, { file: FILE, env, bind });
  } catch (error) {
    assert(error instanceof TemplateError, String(error));
    return error;
  }
  return fail(`${template} was rendered to: ${text}`);
}

export function renders(cases: [template: string, expected: string][], env = {}) {
  for (const [template, expected] of cases) assertStrictEquals(run(template, env).text, expected);
}

/** @param cases the whole message after the file's name and a colon, or what it must match */
export function fails(cases: [template: string, message: string | RegExp][], env = {}) {
  for (const [template, message] of cases) {
    const error = failure(template, { env });
    if (typeof message === "string") assertStrictEquals(error.message, `${FILE}:${message}`);
    else assertMatch(error.message, message);
  }
}
