import { assert, assertEquals, assertMatch } from "@std/assert";
import { allCommands } from "../../src/cli/commands.ts";
import { checkHelp, checkOptions, checkVariables } from "./options.ts";

const commands = await allCommands();

/** What is wrong with a text, and how many options in it are right. */
function check(path: string, text: string): [known: number, unknown: string[]] {
  const { known, unknown } = checkOptions(path, text, commands);
  return [known, unknown.map(({ line, message }) => `${line}: ${message}`)];
}

const FENCE = "```";
const block = (text: string) => `text\n${FENCE}sh\n${text}\n${FENCE}\n`;

Deno.test("an option that its command does not have is found in every form of a command line", () => {
  const forms: [path: string, text: string, line: number][] = [
    ["README.md", block("multibinder bind --drain 5m :80"), 3],
    ["README.md", block("sudo ./dist/multibinder bind --sock x \\\n  --drain=5m :80 &"), 3],
    ["README.md", block("docker run --name b multibinder bind --drain 5m"), 3],
    ["README.md", "Use\n`multibinder bind --drain 5m` then.", 2],
    ["x.service", "[Service]\nExecStart=/usr/bin/multibinder bind --drain 5m\n", 2],
    ["x.yaml", "a:\n  command: [multibinder, bind, --drain=5m]\n", 2],
    ["x.yaml", "a:\n  args: [bind, --drain=5m]\n", 2],
    ["x.hcl", 'args = ["bind", "--drain", "5m"]\n', 1],
    ["Dockerfile", 'CMD ["/usr/bin/multibinder", "bind", "--drain", "5m"]', 1],
  ];
  for (const [path, text, line] of forms) {
    const wrong = `${line}: --drain: not multibinder bind has it`;
    assertEquals(check(path, text)[1], [wrong], text);
    assertEquals(check(path, text.replace(/\bbind\b/, "exec")), [
      text.includes("--sock") ? 2 : 1,
      [],
    ]);
  }
});

Deno.test("an option that stands alone is one of any command", () => {
  for (
    const [path, text] of [["x.md", "With `--drian 5m` it"], ["x.yaml", "args:\n  - --drian=5m"]]
  ) {
    assertMatch(
      check(path ?? "", text ?? "")[1].join(),
      /--drian: no command .*did you mean --drain\?/,
    );
    assertEquals(check(path ?? "", (text ?? "").replace("drian", "drain")), [1, []]);
  }
});

Deno.test("what is another program's, or no code, is left alone", () => {
  const texts = [
    block("docker run --name x --read-only y"),
    block("multibinder status; curl --fail x | grep --nope"),
    block("kubectl exec --stdin x"),
    block("# multibinder bind --nope"),
    "`docker run --nope`, `kubectl --nope`, and --nope in prose",
    "`multibinder exec -- cat --nope`",
  ];
  for (const text of texts) assertEquals(check("x.md", text), [0, []], text);
});

Deno.test("an option in a sentence of the help is one that there is", () => {
  for (const one of commands) assertEquals(checkHelp(one, commands).unknown, [], one.name);
  const [bind] = commands;
  assert(bind?.name === "bind");
  const sections = { "More": "\nWith --sock and\n--drian, as --lisen=x has it.\n" };
  const messages = checkHelp({ ...bind, sections }, commands).unknown.map(({ message }) => message);
  assertEquals(
    messages,
    ["--drian", "--lisen"].map((one) => `${one}: no command of multibinder has it`),
  );
});

Deno.test("a variable is one of an option, or of ours", () => {
  const text =
    "`MULTIBINDER_` and\n`MULTIBINDER_READY_POLL`, MULTIBINDER_STATE_FD, MULTIBINDER_DRIAN=1";
  const { known, unknown } = checkVariables(text, commands);
  assertEquals(known, 2);
  assertEquals(unknown.map(({ line }) => line), [2]);
  assertMatch(unknown[0]?.message ?? "", /^MULTIBINDER_DRIAN: .*did you mean MULTIBINDER_DRAIN\?/);
});
