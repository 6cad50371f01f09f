/** Completions in the real shells: keys are pressed in a terminal, and what the command line becomes is read. */

import { assert } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { newTarget } from "../support/http_client.ts";
import { until } from "../support/process_status.ts";
import { type TempDir, tempDir } from "../support/temp_dir.ts";

/** How each shell is started without anybody's settings, and told of the completions. */
const SHELLS = {
  bash: ["bash --norc --noprofile", "source <(multibinder completions bash)"],
  zsh: [
    "zsh -f",
    "autoload -Uz compinit; compinit -u -d zcompdump; source <(multibinder completions zsh)",
  ],
  fish: [
    "fish --private --no-config",
    // Without what it suggests in grey, from what was typed before.
    "set -g fish_autosuggestion_enabled 0; multibinder completions fish | source",
  ],
} as const;

/** A shell in a terminal of its own. */
class Terminal implements AsyncDisposable {
  readonly #name = `multibinder-${crypto.randomUUID()}`;

  constructor(readonly folder: TempDir) {}

  async start(command: string): Promise<void> {
    const path = `${this.folder.path}:${Deno.env.get("PATH")}`;
    const shell = `env PATH='${path}' HOME='${this.folder.path}' PS1='> ' ${command}`;
    await this.#tmux("new-session", "-d", "-x", "200", "-y", "20", "-c", this.folder.path, shell);
  }

  async type(text: string): Promise<void> {
    await this.#tmux("send-keys", "-l", text);
  }

  async press(key: string): Promise<void> {
    await this.#tmux("send-keys", key);
  }

  /** Waits until the screen shows a text, alone on its line but for the prompt. */
  async shows(text: string): Promise<void> {
    let screen = "";
    const found = until(async () => {
      screen = await this.#tmux("capture-pane", "-p");
      return screen.split("\n").some((line) => line.trimEnd().replace(/^.*?[>#%] /, "") === text);
    });
    await found.catch(() => {
      throw new Error(`the terminal does not show "${text}", but\n${screen}`);
    });
  }

  async #tmux(...words: string[]): Promise<string> {
    // Not by runProgram: with its first command, tmux leaves a server behind that is to stay.
    const { success, stdout, stderr } = await new Deno.Command("tmux", {
      args: ["-L", this.#name, "-f", "/dev/null", ...words],
    }).output();
    assert(success, `${words.join(" ")}: ${new TextDecoder().decode(stderr)}`);
    return new TextDecoder().decode(stdout);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tmux("kill-server");
  }
}

for (const [name, [command, install]] of Object.entries(SHELLS)) {
  Deno.test(`TAB in ${name} completes commands, options, values, files, addresses, and servers`, async () => {
    using folder = tempDir();
    Deno.symlinkSync(multibinder(), folder.file("multibinder"));
    Deno.writeTextFileSync(folder.file("site.cfg.eta"), "");
    const { hostname, port } = newTarget();
    const held = [`${hostname}:${port}`, `unix:${folder.file("held")}`];
    await using binder = await startBinder(held, { sock: folder.file("control.sock") });
    const cases = {
      "healthc": "healthcheck",
      "help healthc": "help healthcheck",
      "exec --log-le": "exec --log-level",
      "bind --log-format=j": "bind --log-format=json",
      "bind --user=daem": "bind --user=daemon",
      "completions fi": "completions fish",
      "render ./si": "render ./site.cfg.eta",
      "status --sock=./contr": "status --sock=./control.sock",
      [`unbind --sock ${binder.sock} ${hostname}:`]: `unbind --sock ${binder.sock} ${held[0]}`,
      [`unbind --sock ${binder.sock} uni`]: `unbind --sock ${binder.sock} ${held[1]}`,
      "exec --drain 5m -- haprox": "exec --drain 5m -- haproxy",
      "exec -- haproxy -f ./si": "exec -- haproxy -f ./site.cfg.eta",
    };
    await using terminal = new Terminal(folder);
    await terminal.start(command);
    await terminal.type(`${install}; echo rea''dy`);
    await terminal.press("Enter");
    await terminal.shows("ready");
    for (const [typed, completed] of Object.entries(cases)) {
      await terminal.type(`multibinder ${typed}`);
      await terminal.press("Tab");
      await terminal.shows(`multibinder ${completed}`);
      await terminal.press("C-u");
    }
  });
}
