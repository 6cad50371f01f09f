/**
 * Writes the man pages of section 1, from the table of commands: multibinder(1), and one for each command.
 *
 *     deno run --allow-read --allow-write --allow-env=SOURCE_DATE_EPOCH scripts/package/man.ts FOLDER
 *
 * The macros are those of man(7), which every formatter of man pages knows.
 */
import { allCommands } from "../../src/cli/commands.ts";
import { aboutArgument, aboutVariables, optionRows, sentence } from "../../src/cli/help.ts";
import { COMMON_EXIT_CODES, type Subcommand, synopsis } from "../../src/cli/subcommand.ts";
import { DEFAULT_SOCK } from "../../src/control/client.ts";
import { VERSION } from "../../src/version.ts";

const WHAT = `
One binary, two roles. The binder (multibinder bind) owns listening sockets and hands copies of
them to other processes over a UNIX control socket. The wrapper (multibinder exec) gets sockets from
it, runs a server on them, and replaces that server by a new generation without losing a connection:
old and new accept from the same kernel queue. No byte of traffic passes through multibinder.
`;

/** A command's page. @param date of the page, such as 2026-01-31 */
function commandPage(subcommand: Subcommand, date: string): string {
  const { name, about, argument, sections = {}, examples = [], exitCodes } = subcommand;
  const codes = Object.entries({ ...COMMON_EXIT_CODES, ...exitCodes });
  return page(`multibinder-${name}`, about, date, {
    "SYNOPSIS": `.B multibinder ${escape(synopsis(subcommand))}\n`,
    "DESCRIPTION": `${escape(sentence(about))}\n`,
    "EXAMPLES": verbatim(examples.join("\n")),
    "OPTIONS": list([
      ...argument ? [[argument.name, sentence(aboutArgument(argument))] as const] : [],
      ...optionRows(subcommand).map(([term, meaning]) => [term, sentence(meaning)] as const),
    ]),
    ...Object.fromEntries(
      Object.entries(sections).map(([title, text]) => [heading(title), blocks(text)]),
    ),
    "ENVIRONMENT": `${escape(aboutVariables(subcommand))}\n`,
    "EXIT STATUS": list(codes.map(([code, meaning]) => [code, sentence(meaning)])),
    "SEE ALSO": seeAlso(["multibinder(1)", "multibinder-templates(5)", "multibinder-protocol(7)"]),
  });
}

/** The program's page. */
function programPage(commands: readonly Subcommand[], date: string): string {
  return page("multibinder", "replace a server without losing a connection", date, {
    "SYNOPSIS": ".B multibinder\n.I COMMAND\n[OPTIONS]\n",
    "DESCRIPTION": blocks(WHAT),
    "EXAMPLES": verbatim(
      "multibinder bind :80 &\nmultibinder exec -- haproxy -f /etc/haproxy/site.cfg.eta &\nkill -USR2 %2",
    ),
    "COMMANDS": list(
      commands.map((one) => [synopsis(one).replace(" [OPTIONS]", ""), sentence(one.about)]),
    ),
    "ENVIRONMENT": list([["MULTIBINDER_SOCK", `The control socket. By default ${DEFAULT_SOCK}.`]]),
    "FILES": list([[DEFAULT_SOCK, "The control socket of the binder."]]),
    "EXIT STATUS": list(
      Object.entries(COMMON_EXIT_CODES).map(([code, meaning]) => [code, sentence(meaning)]),
    ),
    "SEE ALSO": seeAlso([
      ...commands.map(({ name }) => `multibinder-${name}(1)`),
      "multibinder-templates(5)",
      "multibinder-protocol(7)",
    ]),
  });
}

/** Headings of man pages are in capitals, options as one types them. */
function heading(title: string): string {
  const words = title.split(" ");
  return escape(words.map((one) => one.startsWith("--") ? one : one.toUpperCase()).join(" "));
}

function page(
  name: string,
  about: string,
  date: string,
  sections: Readonly<Record<string, string>>,
): string {
  const title = escape(name.toUpperCase());
  const bodies = Object.entries(sections).map(([heading, body]) => `.SH ${heading}\n${body}`);
  return `.TH ${title} 1 ${date} "multibinder ${VERSION}" "multibinder"\n` +
    `.SH NAME\n${escape(name)} \\- ${escape(about)}\n${bodies.join("")}`;
}

function list(rows: readonly (readonly [term: string, meaning: string])[]): string {
  return rows.map(([term, meaning]) => `.TP\n.B ${escape(term)}\n${escape(meaning)}\n`).join("");
}

/** Paragraphs; what is in columns stays as it is. */
function blocks(text: string): string {
  return text.replace(/^\n+|\s+$/g, "").split(/\n\n+/).map((block) =>
    /\S {2,}|^ /m.test(block) ? verbatim(block) : `.PP\n${escape(block)}\n`
  ).join("").replace(/^\.PP\n/, "");
}

function verbatim(text: string): string {
  const lines = text.replace(/^\n+|\s+$/g, "").split("\n").map(escape);
  return `.PP\n.nf\n${lines.join("\n")}\n.fi\n`.replace(/^\.PP\n/, "");
}

function seeAlso(pages: readonly string[]): string {
  return pages.map((one, index) => {
    const [, name = "", section = ""] = /^(.*)\((\d)\)$/.exec(one) ?? [];
    return `.BR ${escape(name)} (${section})${index < pages.length - 1 ? " ," : ""}\n`;
  }).join("");
}

/** Text as it is, whatever it begins with or has in it. */
function escape(text: string): string {
  const special: Readonly<Record<string, string>> = {
    "\\": "\\e",
    "-": "\\-",
    "~": "\\(ti",
    "^": "\\(ha",
  };
  return text.replace(/[\\\-~^]/g, (character) => special[character] ?? character)
    .replace(/^(?=[.'])/gm, "\\&");
}

if (import.meta.main) {
  const [folder = "."] = Deno.args;
  const epoch = Number(Deno.env.get("SOURCE_DATE_EPOCH") ?? Date.now() / 1000);
  const date = new Date(epoch * 1000).toISOString().slice(0, 10);
  const commands = await allCommands();
  Deno.writeTextFileSync(`${folder}/multibinder.1`, programPage(commands, date));
  for (const one of commands) {
    Deno.writeTextFileSync(`${folder}/multibinder-${one.name}.1`, commandPage(one, date));
  }
}
