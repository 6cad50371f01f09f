import { assert, assertEquals, assertMatch, assertStrictEquals, fail } from "@std/assert";
import fc from "fast-check";
import { ignoreIfEmulated } from "../../tests/support/emulated.ts";
import {
  encodeAnswer,
  encodeMessage,
  parseAnswer,
  parseBindParams,
  parseRequest,
  RPC,
  RpcError,
} from "./messages.ts";

/** The body of the error that `parse` answers a request with. */
function refusal(parse: () => unknown): RpcError["body"] {
  try {
    parse();
  } catch (error) {
    assert(error instanceof RpcError, String(error));
    return error.body;
  }
  return fail("was accepted");
}

const maybe = (...values: unknown[]) => fc.oneof(fc.constantFrom(...values), fc.jsonValue());
const requests = fc.record(
  { jsonrpc: maybe("2.0"), id: maybe("a", 1, null), method: maybe("bind"), params: fc.jsonValue() },
  { requiredKeys: [] },
);
const bindParams = fc.array(fc.record(
  {
    address: maybe("", "127.0.0.1", "unix:/x"),
    port: maybe(80, "80", -1, 65536),
    backlog: maybe(0, 1000, -1, 1.5, 1e300),
  },
  { requiredKeys: [] },
));

Deno.test("any JSON value is a request, or an error with the protocol's code", () => {
  fc.assert(fc.property(fc.oneof(requests, fc.jsonValue()), (value) => {
    try {
      const { id, method } = parseRequest(JSON.stringify(value));
      assertStrictEquals(typeof method, "string");
      assert(id === null || typeof id === "string" || typeof id === "number");
    } catch (error) {
      assert(error instanceof RpcError, String(error));
      assert([RPC.parseError, RPC.invalidRequest].some((code) => code === error.body.code));
    }
  }));
});

const tooSlow = ignoreIfEmulated("making up texts takes minutes");

Deno.test("any text is a request, or an error", tooSlow, () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    for (const message of [text, `{${text}}`]) {
      try {
        parseRequest(message);
      } catch (error) {
        assert(error instanceof RpcError);
      }
    }
  }));
  assertStrictEquals(refusal(() => parseRequest('{"a":'.repeat(100_000))).code, RPC.parseError);
});

Deno.test("any params are addresses to bind, or invalid params", () => {
  fc.assert(fc.property(fc.oneof(bindParams, fc.jsonValue()), (params) => {
    try {
      for (const { address, port, backlog } of parseBindParams(params)) {
        assertStrictEquals(typeof address, "string");
        assertStrictEquals(port === undefined, address.startsWith("unix:"));
        assert(backlog === undefined || (backlog >= 0 && backlog <= 2 ** 31 - 1));
      }
    } catch (error) {
      assert(error instanceof RpcError, String(error));
      assertStrictEquals(error.body.code, RPC.invalidParams);
    }
  }));
});

Deno.test("a request of the original's clients is read", () => {
  const text = '{"jsonrpc":"2.0","method":"bind","id":"3f2a","params":' +
    '[{"address":"127.0.0.1","port":8000,"backlog":1000}]}';
  const { id, method, params } = parseRequest(text);
  assertEquals([id, method], ["3f2a", "bind"]);
  assertEquals(parseBindParams(params), [{ address: "127.0.0.1", port: 8000, backlog: 1000 }]);
});

Deno.test("a request without an id or a version is read", () => {
  assertEquals(parseRequest('{"method":"x"}'), { id: null, method: "x", params: undefined });
});

Deno.test("an error says what is wrong with a request", () => {
  const refused: [text: string, code: number, message: RegExp][] = [
    ["{", RPC.parseError, /^Parse error: ./],
    ["[]", RPC.parseError, /^Parse error: not an object$/],
    ["null", RPC.parseError, /not an object/],
    ["{}", RPC.invalidRequest, /method must be a string/],
    ['{"method":1}', RPC.invalidRequest, /method must be a string/],
    ['{"method":"bind","id":{}}', RPC.invalidRequest, /id must be/],
    ['{"method":"bind","id":true}', RPC.invalidRequest, /id must be/],
  ];
  for (const [text, code, message] of refused) {
    const body = refusal(() => parseRequest(text));
    assertStrictEquals(body.code, code, text);
    assertMatch(body.message, message);
  }
});

Deno.test("an error names the parameter at fault", () => {
  const good = { address: "", port: 80 };
  const refused: [params: unknown, message: string][] = [
    [undefined, "params must be a list of addresses"],
    [{}, "params must be a list of addresses"],
    [[], "params must name at least one address"],
    [[good, 1], "params[1] must be an object"],
    [[null], "params[0] must be an object"],
    [[{ port: 80 }], "params[0].address must be a string"],
    [[good, { address: "" }], "params[1].port must be a number from 0 to 65535"],
    [[{ address: "", port: 65536 }], "params[0].port must be a number from 0 to 65535"],
    [[{ ...good, backlog: -1 }], "params[0].backlog must be a whole number of connections"],
    [[{ ...good, backlog: "5" }], "params[0].backlog must be a whole number of connections"],
  ];
  for (const [params, message] of refused) {
    assertEquals(refusal(() => parseBindParams(params)), {
      code: RPC.invalidParams,
      message: `Invalid params: ${message}`,
    });
  }
});

Deno.test("a backlog that no int holds is cut, an absent one is left to the binder", () => {
  const [first, ...rest] = parseBindParams([
    { address: "", port: "80", backlog: 2 ** 40 },
    { address: "unix:/x", port: 1, backlog: null },
  ]);
  assertEquals(first, { address: "", port: 80, backlog: 2 ** 31 - 1 });
  assertEquals(rest, [{ address: "unix:/x" }]);
});

Deno.test("an answer is read back as it was written", () => {
  const data = { code: "EADDRINUSE", address: ":80" };
  const answers = [
    { id: 1, result: true },
    { id: "a", result: [":80", ":81"] },
    { id: null, error: { code: RPC.parseError, message: "Parse error" } },
    { id: 2, error: new RpcError(RPC.couldNotBind, "Could not bind", data).body },
  ];
  for (const answer of answers) {
    const text = new TextDecoder().decode(encodeMessage(answer));
    assertMatch(text, /^\{"jsonrpc":"2\.0",[^\n]*\}\n$/);
    assertEquals(parseAnswer(text), answer);
  }
});

Deno.test("a long text is answered in pieces, and read back as it was", async () => {
  const odd = '\u{1f600}"\\\n\u00e9';
  for (const length of [0, 1, 2, 3]) {
    const text = "a".repeat(length) + odd.repeat(100_000);
    let turns = 0;
    const bytes = await encodeAnswer("id", text, () => void turns++);
    assert(turns >= text.length / 65_536, `${turns} turns were offered`);
    const answer = parseAnswer(new TextDecoder().decode(bytes));
    assertStrictEquals(answer.id, "id");
    assert(answer.result === text, "it is the same text");
  }
});

Deno.test("any JSON value is an answer, or an error that says it is none", () => {
  fc.assert(fc.property(fc.jsonValue(), fc.jsonValue(), (value, error) => {
    for (const text of [JSON.stringify(value), JSON.stringify({ id: 1, error })]) {
      try {
        const answer = parseAnswer(text);
        if (answer.error) assertStrictEquals(typeof answer.error.message, "string");
      } catch (error) {
        assertMatch(String(error), /^Error: not an answer of a binder: /);
      }
    }
  }));
});
