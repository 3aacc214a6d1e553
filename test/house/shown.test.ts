import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { parseSync } from "oxc-parser";
import { describe, expect, test } from "vitest";
import { COMMANDS } from "../../src/cli/commands.ts";
import { LOG_PROGRAM } from "../../src/cli/log-commands.ts";
import type { Program } from "../../src/cli/program.ts";
import { openTerminal } from "../../src/cli/terminal.ts";
import { keptStreams } from "../cli/streams.ts";

const ROOT = resolve(import.meta.dirname, "../..");

interface Entry {
  readonly claim: string;
  /** What stands in backquotes in the lines below the claim. */
  readonly shownBy: readonly string[];
  readonly open: boolean;
}

/** `- claim`, then indented lines: `- ` and a reference in backquotes, or "not shown yet". */
function entriesOf(page: string): Entry[] {
  return page
    .split(/^- /m)
    .slice(1)
    .map((block) => {
      const [claim = "", ...below] = block.split(/^#/m)[0]!.trim().split("\n");
      const shownBy = below.flatMap((line) => [...line.matchAll(/`([^`]+)`/g)].map(([, code]) => code!));
      return { claim, shownBy, open: below.some((line) => line.includes("not shown yet")) };
    });
}

/** Why a reference shows nothing, or undefined. */
async function fault(reference: string): Promise<string | undefined> {
  const [first = "", ...rest] = reference.split(" ");
  if (/^test\/.*\.test\.ts$/.test(first)) return testFault(first, reference.slice(first.length));
  if (first === "npm") return npmFault(rest);
  if (first === "hiperiso") return await commandFault({ name: first, commands: COMMANDS }, rest);
  if (first === LOG_PROGRAM.name) return await commandFault(LOG_PROGRAM, rest);
  return existsSync(join(ROOT, first)) ? undefined : "no test, command, script or file of this project";
}

function testFault(file: string, name: string): string | undefined {
  if (!existsSync(join(ROOT, file))) return "the file does not exist";
  if (name === "") return undefined;
  return testNames(file).has(name.replace(/^ > /, "")) ? undefined : "no such test in the file";
}

const namesByFile = new Map<string, ReadonlySet<string>>();

/** Names of tests as they stand in the file: the first argument of `test(…)`, `test.each(…)(…)`, `test.skipIf(…)(…)`. */
function testNames(file: string): ReadonlySet<string> {
  const known = namesByFile.get(file);
  if (known !== undefined) return known;
  const names = new Set<string>();
  const visit = (node: unknown): void => {
    if (typeof node !== "object" || node === null) return;
    const { type, callee, arguments: given } = node as { type?: string; callee?: unknown; arguments?: readonly { value?: unknown }[] };
    const name = given?.[0]?.value;
    if (type === "CallExpression" && typeof name === "string" && ["test", "it"].includes(rootName(callee) ?? "")) names.add(name);
    for (const value of Object.values(node)) for (const child of Array.isArray(value) ? value : [value]) visit(child);
  };
  visit(parseSync(file, readFileSync(join(ROOT, file), "utf8")).program);
  namesByFile.set(file, names);
  return names;
}

/** `test` of `test.each(rows)`. */
function rootName(node: unknown): string | undefined {
  const { name, callee, object } = (node ?? {}) as { name?: string; callee?: unknown; object?: unknown };
  return name ?? (callee === undefined && object === undefined ? undefined : rootName(callee ?? object));
}

function npmFault([verb = "", script = ""]: readonly string[]): string | undefined {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { scripts: Record<string, string> };
  const name = verb === "run" ? script : verb;
  return Object.hasOwn(scripts, name) ? undefined : `package.json has no script "${name}"`;
}

async function commandFault(
  { name: program, commands }: Pick<Program, "name" | "commands">,
  words: readonly string[],
): Promise<string | undefined> {
  const [name, ...rest] = words.filter((word) => word !== "--help");
  if (name === undefined) return undefined;
  const row = commands.find((candidate) => candidate.name === name);
  if (row === undefined) return `${program} has no command "${name}"`;
  const { cli } = openTerminal(keptStreams(), { asJson: false, signal: new AbortController().signal, exit: () => {} });
  let command: CommandUnknownOpts = (await row.load()).command(cli);
  for (const word of rest) {
    command = command.commands.find((child) => child.name() === word) ?? command;
    const flag = word.split("=")[0]!;
    if (flag.startsWith("--") && !command.options.some(({ long }) => long === flag)) return `${program} ${name} has no ${flag}`;
  }
  return undefined;
}

describe("docs/shown.md", () => {
  const entries = entriesOf(readFileSync(join(ROOT, "docs/shown.md"), "utf8"));

  test("was seen whole", () => {
    expect(entries).toHaveLength(243);
  });

  test("names only what exists", async () => {
    const faults: string[] = [];
    for (const { claim, shownBy } of entries) {
      for (const reference of shownBy) {
        const why = await fault(reference);
        if (why !== undefined) faults.push(`${claim}\n  ${reference}: ${why}`);
      }
    }
    expect(faults).toEqual([]);
  });

  test("shows every claim", () => {
    expect(entries.filter(({ shownBy, open }) => open || shownBy.length === 0).map(({ claim }) => claim)).toEqual([]);
  });
});

describe("the check", () => {
  test.each([
    ["test/house/none.test.ts", "the file does not exist"],
    ["test/house/shown.test.ts > no such name", "no such test in the file"],
    ["npm run nonsense", 'package.json has no script "nonsense"'],
    ["hiperiso nonsense", 'hiperiso has no command "nonsense"'],
    ["hiperiso config check --nonsense x", "hiperiso config has no --nonsense"],
    ["hiperiso-log nonsense", 'hiperiso-log has no command "nonsense"'],
    ["nonsense", "no test, command, script or file of this project"],
  ])("refuses %s", async (reference, why) => {
    expect(await fault(reference)).toBe(why);
  });

  test.each([
    "test/house/shown.test.ts > refuses %s",
    "test/house/shown.test.ts > was seen whole",
    "npm test",
    "npm run check",
    "hiperiso config check --json x",
    "hiperiso --help",
    "docs/shown.md",
  ])("takes %s", async (reference) => {
    expect(await fault(reference)).toBeUndefined();
  });

  test("reads claims, references and what is open", () => {
    expect(entriesOf("# t\n\n- a `x`\n  - `one`, `two`\n\n## s\n\n- b\n  - not shown yet\n")).toEqual([
      { claim: "a `x`", shownBy: ["one", "two"], open: false },
      { claim: "b", shownBy: [], open: true },
    ]);
  });
});
