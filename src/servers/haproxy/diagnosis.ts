/** What will do harm in a HAProxy and its config, as far as a look can tell. */

import { type Finding, fine } from "../../finding.ts";
import { messageOf } from "../../errors.ts";
import { BINDS, type ConfigText, insistOnReloadable, NO_PORT, readLines } from "./own_binds.ts";

/** An address that HAProxy inherits, or will once the template is rendered. */
const INHERITED = /^(?:fd@|<%)/;

/** Looks at what HAProxy says of itself with `-vv`. */
export function examineBuild(said: string): Finding[] {
  const check = "server_version";
  const [, text, major = "", minor = ""] = /^HA-?Proxy version ((\d+)\.(\d+)\S*)/m.exec(said) ?? [];
  if (text === undefined) {
    return [{
      check,
      level: "unknown",
      message: `the program does not say which version of HAProxy it is: ${
        said.trim().slice(0, 200)
      }`,
    }];
  }
  const version = Number(major) * 1000 + Number(minor);
  const findings = [versionFinding(text, version, /^Status: (.*)$/m.exec(said)?.[1] ?? "")];
  const poller = /will use (\w+)\.?$/m.exec(said)?.[1];
  if (poller !== undefined && poller !== "epoll") {
    findings.push({
      check: "server_build",
      level: "warning",
      message:
        `this HAProxy waits for events by ${poller}, which costs half of the requests a second where ` +
        "thousands of connections are idle",
      remedy: "use a build with epoll (+EPOLL in its feature list)",
    });
  } else if (poller !== undefined) {
    findings.push(fine("server_build", "HAProxy is built with epoll"));
  }
  return findings;
}

function versionFinding(text: string, version: number, status: string): Finding {
  const check = "server_version";
  if (version < 2003) {
    return {
      check,
      level: "failure",
      message:
        `HAProxy ${text} is older than 2.3: when it pauses a listener, it shuts the shared socket down ` +
        "for every process that has it",
      remedy: "use HAProxy 2.4 or newer",
    };
  }
  if (/end of life|unmaintained|development/i.test(status)) {
    const remedy = "use a version that haproxy.org maintains";
    return { check, level: "warning", message: `HAProxy ${text}: ${status}`, remedy };
  }
  return fine(check, `HAProxy ${text}${status && `: ${status.replace(/\.$/, "")}`}`);
}

/**
 * Looks at a config: files as HAProxy reads them, or templates as they are written.
 * @param words HAProxy's command line
 */
export function examineConfig(files: readonly ConfigText[], words: readonly string[]): Finding[] {
  const lines = readLines(files);
  return [
    ...reloadable(files, words),
    ...ownBinds(lines),
    keyword(
      lines,
      "close-spread-time",
      "kept connections are closed all at once when a generation drains, " +
        "and a client that sends on one at that moment gets no answer",
      "close-spread-time 3s",
    ),
    keyword(
      lines,
      "hard-stop-after",
      "only multibinder's --drain ends the drain of an old generation whose " +
        "clients stay, and nothing does while no wrapper runs",
      "hard-stop-after 10m",
    ),
  ];
}

function reloadable(files: readonly ConfigText[], words: readonly string[]): Finding[] {
  const check = "config_reloadable";
  try {
    insistOnReloadable(files, words);
    return [];
  } catch (error) {
    return [{
      check,
      level: "failure",
      message: messageOf(error).replace(/; [^;]*$/, ""),
      remedy: messageOf(error).replace(/^.*; /, ""),
    }];
  }
}

/** HAProxy's own accept queues end with the process: who waits in them is reset by each reload. */
function ownBinds(lines: ReturnType<typeof readLines>): Finding[] {
  const check = "plain_bind";
  const binds = lines.flatMap(({ at, line }) => {
    const [, keyword, address = ""] = BINDS.exec(line) ?? [];
    return keyword === "bind" ? [{ at, address }] : [];
  });
  const inherited = binds.filter(({ address }) => INHERITED.test(address));
  const own = binds.filter(({ address }) => !INHERITED.test(address) && !NO_PORT.test(address));
  if (own.length === 0) return [fine(check, "every port in the config is an inherited socket")];
  const beside = inherited.length > 0
    ? `is bound by HAProxy itself, beside ${inherited.length} inherited: `
    : "is bound by HAProxy itself, as is every other: ";
  return own.map(({ at, address }) => ({
    check,
    level: inherited.length > 0 ? "warning" : "failure",
    message: `${at}: ${address} ${beside}each reload resets the connections that wait in its queue`,
    remedy: `in a template, bind <%= bind('${address}') %>`,
  }));
}

function keyword(
  lines: ReturnType<typeof readLines>,
  name: string,
  without: string,
  line: string,
): Finding {
  const check = name.replaceAll("-", "_");
  const found = lines.find((one) => new RegExp(`^\\s*${name}\\s`).test(one.line));
  if (found) return fine(check, `${name} is set (${found.at})`);
  return {
    check,
    level: "warning",
    message: `the config has no ${name}: ${without}`,
    remedy: `write "${line}" into its global section`,
  };
}
