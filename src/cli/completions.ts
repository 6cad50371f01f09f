/** `multibinder completions`: scripts by which shells complete our command lines. */

import { EXIT } from "../errors.ts";
import { print } from "./output.ts";
import { defineSubcommand } from "./subcommand.ts";

const INSTALL = `
  bash  multibinder completions bash >/usr/share/bash-completion/completions/multibinder
  zsh   multibinder completions zsh >/usr/local/share/zsh/site-functions/_multibinder
  fish  multibinder completions fish >~/.config/fish/completions/multibinder.fish

For this shell alone, bash and zsh: source <(multibinder completions bash). Debian's
package has installed all three.
`;

/** Readline replaces only what follows the last `:` or `=`, and so gets each word without what precedes. */
const BASH = `# bash completion for multibinder
_multibinder() {
  local line=\${COMP_LINE:0:COMP_POINT} words=() found=() word tail
  COMPREPLY=()
  read -ra words <<<"$line"
  [[ $line != *[[:space:]] ]] || words+=("")
  mapfile -t found < <("\${words[0]}" complete "\${words[@]:1}" 2>/dev/null)
  case \${found[0]} in
    files) compopt -o default ;;
    folders) compopt -o dirnames ;;
    command*)
      if ((\${#words[@]} == \${found[0]#command } + 1)); then
        mapfile -t COMPREPLY < <(compgen -c -- "\${words[-1]}")
      fi
      compopt -o default
      ;;
    *)
      tail=\${COMP_WORDS[COMP_CWORD]}
      [[ $tail == *[!:=]* ]] || tail=
      for word in "\${found[@]:1}"; do
        word=\${word%%$'\\t'*}
        COMPREPLY+=("\${word#"\${words[-1]%"$tail"}"}")
      done
      ;;
  esac
}
complete -F _multibinder multibinder
`;

const ZSH = `#compdef multibinder
_multibinder() {
  local -a found items
  local line
  integer before
  found=("\${(@f)$(\${(Q)words[1]} complete "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)}")
  case $found[1] in
    files) compset -P '--*='; _files ;;
    folders) compset -P '--*='; _files -/ ;;
    command*)
      before=\${found[1]#command }
      shift before words
      ((CURRENT -= before))
      _normal
      ;;
    *)
      for line in "\${(@)found[2,-1]}"; do
        items+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
      done
      _describe -t values multibinder items
      ;;
  esac
}
if [[ $funcstack[1] == _multibinder ]]; then
  _multibinder "$@"
else
  compdef _multibinder multibinder
fi
`;

const FISH = `# fish completion for multibinder
function __multibinder_complete
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  set -l program $words[1]
  set -e words[1]
  set -l found ($program complete $words "$current" 2>/dev/null)
  set -l kind $found[1]
  set -e found[1]
  set -l joined (string match -r '^--[^=]*=' -- "$current")
  set -l rest (string replace -r '^--[^=]*=' '' -- "$current")
  switch "$kind"
    case files
      for path in (__fish_complete_path "$rest")
        echo "$joined$path"
      end
    case folders
      for path in (__fish_complete_directories "$rest")
        echo "$joined$path"
      end
    case 'command*'
      # The command begins at this one of the words, which are without the program's name.
      set -l at (string replace 'command ' '' -- $kind)
      complete -C (string join ' ' -- (string escape -- $words[$at..-1]) "$current")
    case '*'
      printf '%s\\n' $found
  end
end
complete -c multibinder -f -a '(__multibinder_complete)'
`;

const SCRIPTS = { bash: BASH, zsh: ZSH, fish: FISH };

export const subcommand = defineSubcommand({
  name: "completions",
  about: "print a script by which a shell completes command lines",
  argument: {
    name: "SHELL",
    about: "the shell",
    count: "one",
    choices: Object.keys(SCRIPTS),
  },
  options: {},
  sections: { "To install": INSTALL },
  examples: ["multibinder completions bash"],
  run({ words: [shell = ""] }) {
    print(SCRIPTS[shell as keyof typeof SCRIPTS]);
    return EXIT.ok;
  },
});
