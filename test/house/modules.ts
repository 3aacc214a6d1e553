import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseSync } from "oxc-parser";

/** A module of `src/`, as far as the rules of the house care. */
export interface Module {
  /** From `src/`: `formats/gpt.ts`. */
  readonly path: string;
  /** What it imports, statically, dynamically or for types alone, as written; undefined where an import is computed. */
  readonly imports: readonly (string | undefined)[];
  /** Clock, randomness, environment: expressions such as `Date.now`. */
  readonly surroundings: readonly string[];
  readonly defaultExport: boolean;
}

interface SyntaxNode {
  readonly type: string;
  readonly [key: string]: unknown;
}

export function parseModule(path: string, source: string): Module {
  const { program, errors } = parseSync(path, source);
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]?.message}`);
  const imports: (string | undefined)[] = [];
  const surroundings: string[] = [];
  let defaultExport = false;
  for (const node of nodesOf(program as unknown as SyntaxNode)) {
    if (["ImportDeclaration", "ExportNamedDeclaration", "ExportAllDeclaration", "ImportExpression", "TSImportType"].includes(node.type)) {
      const from = node["source"] ?? node["argument"];
      if (isNode(from)) imports.push(typeof from["value"] === "string" ? from["value"] : undefined);
    }
    if (node.type === "ExportDefaultDeclaration") defaultExport = true;
    const read = surroundingsRead(node);
    if (read !== undefined) surroundings.push(read);
  }
  return { path, imports, surroundings, defaultExport };
}

const FORBIDDEN = ["Date.now", "Math.random", "process.env", "performance.now"];

function surroundingsRead(node: SyntaxNode): string | undefined {
  if (node.type === "NewExpression" && nameOf(node["callee"]) === "Date" && (node["arguments"] as unknown[]).length === 0)
    return "new Date()";
  if (node.type === "MemberExpression") {
    const name = `${nameOf(node["object"])}.${nameOf(node["property"])}`;
    return FORBIDDEN.includes(name) ? name : undefined;
  }
  return undefined;
}

const nameOf = (node: unknown): string | undefined => (isNode(node) && node.type === "Identifier" ? String(node["name"]) : undefined);

const isNode = (value: unknown): value is SyntaxNode => typeof value === "object" && value !== null && "type" in value;

function* nodesOf(node: SyntaxNode): Generator<SyntaxNode> {
  yield node;
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) yield* nodesOf(child);
  }
}

export function readModules(folder: string): Module[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .sort()
    .map((path) => parseModule(path, readFileSync(join(folder, path), "utf8")));
}
