/** Puts checks into a template's code, wherever it makes text of a value. */

import { type AnyNode, type AssignmentExpression, type CallExpression, parse } from "acorn";
import type { Checks } from "./printable.ts";

/** Where a tag's code stands within the compiled code. */
export interface Range {
  start: number;
  end: number;
  /** Whether the tag is a `<% %>`, which prints nothing. */
  isCode: boolean;
}

/** Code that compiles, and cannot be what its author meant. */
export class Unmeant extends Error {
  /** @param at where in the compiled code it is */
  constructor(message: string, readonly at: number) {
    super(message);
  }
}

/** Functions that make text of whatever they are given. */
const TO_TEXT = new Set(["String", "encodeURI", "encodeURIComponent"]);
/** Methods that put what they are given into a text, "undefined" too. */
const INTO_TEXT = new Set(["concat", "replace", "replaceAll", "padStart", "padEnd"]);

/** How many arguments name the address of a bind call. */
const ADDRESSES = new Map([["bind", 1], ["bind_tcp", 2]]);

/** A change of the code: `text` takes the place of `length` characters. */
interface Edit {
  at: number;
  length: number;
  text: string;
}

/**
 * Adds calls of {@link Checks} where text is made: at `+`, `+=`, `${}`, `join` and the like. No line moves.
 * @param code statements that compile
 * @param ranges the template's own code in it; what is outside is not looked at
 * @param checks the name that the checks have in the code, and `fetch` beside them
 * @param reserved names that the template's own code must not use
 * @returns the new code, and the source that each number in a call of the checks stands for
 * @throws {Unmeant} on a reserved name, and on a statement that does nothing
 * @throws {SyntaxError} on code that V8 understands and the parser does not
 */
export function instrument(
  code: string,
  ranges: readonly Range[],
  checks: string,
  reserved: readonly string[],
): { code: string; sources: string[] } {
  return new Instrumentation(code, ranges, checks, reserved).result();
}

/** The walk over the syntax tree of one template's code, as {@link instrument} describes it. */
class Instrumentation {
  readonly #sources: string[] = [];
  readonly #edits: Edit[] = [];
  /** The nodes whose values are checked, and how. */
  readonly #checked = new Map<AnyNode, keyof Checks>();
  /** Template literals that a function is given, and that make no text by themselves. */
  readonly #tagged = new Set<AnyNode>();

  constructor(
    readonly code: string,
    readonly ranges: readonly Range[],
    readonly checks: string,
    readonly reserved: readonly string[],
  ) {}

  result(): { code: string; sources: string[] } {
    this.#visit(parse(this.code, { ecmaVersion: "latest", allowReturnOutsideFunction: true }));
    return { code: edited(this.code, this.#edits), sources: this.#sources };
  }

  #visit(node: AnyNode): void {
    const check = this.#checked.get(node);
    // The space keeps it apart from a `return` or a `case` that touches a quote.
    if (check) this.#insert(node.start, ` ${this.checks}.${check}((`);
    const range = rangeAt(this.ranges, node.start);
    const after = range && this.#enter(node, range);
    eachChild(node, (child) => this.#visit(child));
    if (after) this.#insert(node.end, after);
    if (check) this.#insert(node.end, `),${this.#numberOf(node)})`);
  }

  /** Has a node's operands checked. @returns the code that is added after it */
  #enter(node: AnyNode, range: Range): string {
    switch (node.type) {
      case "Identifier":
        if (!this.reserved.includes(node.name)) return "";
        throw new Unmeant(`${node.name} is not there for templates to use`, node.start);
      case "ExpressionStatement":
        if (!range.isCode || !isForgotten(node.expression)) return "";
        throw new Unmeant("this prints nothing; <%= %> prints", node.start);
      case "IfStatement":
        this.#insistOnBrace(node, node.consequent);
        if (node.alternate) this.#insistOnBrace(node, node.alternate);
        return "";
      case "ForStatement":
      case "ForInStatement":
      case "ForOfStatement":
      case "WhileStatement":
        this.#insistOnBrace(node, node.body);
        return "";
      case "TaggedTemplateExpression":
        // Any other function may be given values that are no text.
        if (this.#sourceOf(node.tag) !== "String.raw") this.#tagged.add(node.quasi);
        return "";
      case "TemplateLiteral":
        if (!this.#tagged.has(node)) this.#checkAll(node.expressions, "text");
        return "";
      case "BinaryExpression":
        if (node.operator !== "+") return "";
        this.#insert(node.start, ` ${this.checks}.add(`);
        this.#insert(operatorAt(this.code, node.left.end), ",", 1);
        return `,${this.#numberOf(node.left)},${this.#numberOf(node.right)})`;
      case "AssignmentExpression":
        return this.#enterAssignment(node);
      case "CallExpression":
        this.#enterCall(node);
        return "";
      default:
        return "";
    }
  }

  #enterAssignment({ operator, left, right }: AssignmentExpression): string {
    if (operator !== "+=") return "";
    const target = this.#sourceOf(left);
    // Reading it a second time must change nothing.
    if (!/^[\w$.]+$/.test(target)) {
      this.#checked.set(right, "given");
      return "";
    }
    this.#insert(operatorAt(this.code, left.end), `=${this.checks}.add(${target},(`, 2);
    return `),${this.#numberOf(left)},${this.#numberOf(right)})`;
  }

  #enterCall({ callee, arguments: args }: CallExpression): void {
    if (callee.type === "Identifier") {
      if (TO_TEXT.has(callee.name)) this.#checkAll(args, "text");
      this.#checkAll(args.slice(0, ADDRESSES.get(callee.name) ?? 0), "given");
    }
    if (callee.type !== "MemberExpression" || callee.property.type !== "Identifier") return;
    const { object, property: { name } } = callee;
    if (name === "fetch" && this.#sourceOf(object) === "ENV") {
      // Otherwise a variable of the environment named "fetch" would be called.
      this.#insert(callee.start, ` ${this.checks}.fetch`, callee.end - callee.start);
    }
    if (INTO_TEXT.has(name)) this.#checkAll(args, "given");
    // Within a?.b.join() a check of a?.b would end the chain early.
    if (name === "join" && !this.#sourceOf(object).includes("?.")) {
      this.#checked.set(object, "list");
    }
  }

  #checkAll(nodes: readonly AnyNode[], check: keyof Checks): void {
    for (const node of nodes) {
      if (node.type !== "SpreadElement") this.#checked.set(node, check);
    }
  }

  /** Without a brace, a statement governs the text up to the next tag, and nobody sees where that ends. */
  #insistOnBrace(node: AnyNode, body: AnyNode): void {
    if (rangeAt(this.ranges, body.start)) return;
    throw new Unmeant("this lacks its {, and a later tag the }", node.start);
  }

  #insert(at: number, text: string, length = 0): void {
    this.#edits.push({ at, text, length });
  }

  #sourceOf({ start, end }: AnyNode): string {
    return this.code.slice(start, end);
  }

  /** The number that stands for a node's source in a call of the checks. */
  #numberOf(node: AnyNode): number {
    return this.#sources.push(this.#sourceOf(node)) - 1;
  }
}

/** The range that holds a position, of ranges in order. */
function rangeAt(ranges: readonly Range[], at: number): Range | undefined {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ranges[middle]?.end ?? 0) > at) high = middle;
    else low = middle + 1;
  }
  const range = ranges[low];
  return range && range.start <= at ? range : undefined;
}

/** Calls back for each node below one. With Object.values the walk takes twice as long. */
function eachChild(node: AnyNode, visit: (child: AnyNode) => void): void {
  for (const key in node) {
    const value: unknown = node[key as keyof AnyNode];
    if (typeof value !== "object" || value === null) continue;
    if (Array.isArray(value)) { for (const each of value) if (isNode(each)) visit(each); }
    else if (isNode(value)) visit(value);
  }
}

function isNode(value: unknown): value is AnyNode {
  return typeof (value as AnyNode | null | undefined)?.type === "string";
}

/** Where the operator is that follows an operand, which brackets and comments may surround. */
function operatorAt(code: string, from: number): number {
  const between = /(?:[\s)]|\/\*[^]*?\*\/|\/\/.*)*/y;
  between.lastIndex = from;
  between.exec(code);
  return between.lastIndex;
}

/** Whether an expression does nothing but give a value: somebody forgot the `=` of `<%=`. */
function isForgotten(expression: AnyNode): boolean {
  switch (expression.type) {
    case "Identifier":
    case "MemberExpression":
    case "TemplateLiteral":
    case "BinaryExpression":
      return true;
    case "Literal":
      return typeof expression.value === "string";
    case "CallExpression": {
      const { callee } = expression;
      // A socket that the config does not name is of no use.
      return callee.type === "Identifier" && ADDRESSES.has(callee.name);
    }
    default:
      return false;
  }
}

function edited(code: string, edits: Edit[]): string {
  let text = "";
  let from = 0;
  // The sort keeps the order of edits at one place, which is that of the walk.
  for (const { at, length, text: inserted } of edits.sort((a, b) => a.at - b.at)) {
    text += code.slice(from, at) + inserted;
    from = at + length;
  }
  return text + code.slice(from);
}
