import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MACHINE_RULES } from "../../src/analysis/machine-findings.ts";
import { RULES } from "../../src/analysis/rules.ts";
import { runProgram } from "../../src/cli/program.ts";
import { command } from "../../src/cli/rules.ts";
import { keptStreams } from "./streams.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-rules-"));
  mkdirSync(join(folder, "config", "hiperiso"), { recursive: true });
  mkdirSync(join(folder, "empty"));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function rules(words: readonly string[], config = "empty") {
  const streams = keptStreams({ env: { XDG_CONFIG_HOME: join(folder, config), HOME: folder } });
  const commands = [{ name: "rules", summary: "", load: async () => ({ command }) }];
  const program = { name: "hiperiso", description: "", examples: [], commands };
  const status = await runProgram(program, ["rules", ...words], streams, new AbortController().signal);
  return { status, stdout: streams.stdout(), stderr: streams.stderr() };
}

const ruleOf = (name: string, pattern = "^widget gone") => `- id: own/${name}
  kind: io_error
  severity: error
  stage: reached
  domain: hardware
  pattern: '${pattern}'
  explanation: The widget is gone.
  hint: Look behind the \x85 sofa.
  matches: ['widget gone']
  ignores: ['widget there']
`;
function fileOf(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe("hiperiso rules list", () => {
  test("has every rule of the program, a line each", async () => {
    const { status, stdout, stderr } = await rules(["list"]);
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout.trimEnd().split("\n")).toHaveLength(RULES.length + MACHINE_RULES.length);
    for (const { id } of [...RULES, ...MACHINE_RULES]) expect(stdout).toMatch(new RegExp(`^${id} `, "m"));
  });

  test("of one kind, as JSON, has only those, whole", async () => {
    const list = JSON.parse((await rules(["list", "--kind", "no_root", "--json"])).stdout) as {
      id: string;
      kind: string;
      pattern: string;
    }[];
    expect(list.map(({ id }) => id)).toEqual(RULES.filter(({ kind }) => kind === "no_root").map(({ id }) => id));
    expect(list[0]).toMatchObject({
      kind: "no_root",
      pattern: expect.any(String),
      explanation: expect.any(String),
      matches: expect.any(Array),
    });
  });

  test("has a person's own first, from beside the configuration or from --rules", async () => {
    fileOf("config/hiperiso/rules.yaml", ruleOf("standard"));
    expect((await rules(["list"], "config")).stdout).toMatch(/^own\/standard .*\(own\) The widget is gone\.\n/);
    expect((await rules(["list", "--rules", fileOf("other.yaml", ruleOf("other"))], "config")).stdout).toMatch(/^own\/other /);
  });

  test("warns of what is wrong in them and goes on; a named file that is not there is wrong usage", async () => {
    const file = fileOf("half.yaml", `${ruleOf("good")}- id: own/bad\n`);
    const { status, stdout, stderr } = await rules(["list", "--rules", file]);
    expect([status, stdout.startsWith("own/good ")]).toEqual([0, true]);
    expect(stderr).toContain(`${file}:11:3: [1].kind: "kind" is missing`);
    expect((await rules(["list", "--rules", join(folder, "none.yaml")])).status).toBe(2);
  });

  test("refuses an unknown kind", async () => {
    expect((await rules(["list", "--kind", "panik"])).status).toBe(2);
  });
});

describe("hiperiso rules show", () => {
  test("tells all of a rule", async () => {
    const { status, stdout } = await rules(["show", "kernel/no-root"]);
    const rule = RULES.find(({ id }) => id === "kernel/no-root")!;
    expect(status).toBe(0);
    for (const text of [rule.pattern.source, rule.explanation, rule.hint, ...rule.matches, ...rule.ignores]) expect(stdout).toContain(text);
    expect(JSON.parse((await rules(["show", "machine/hang", "--json"])).stdout)).toMatchObject({ kind: "hang", origin: "machine" });
  });

  test("of a person's own rule is harmless for a terminal", async () => {
    const { stdout } = await rules(["show", "own/odd", "--rules", fileOf("odd.yaml", ruleOf("odd"))]);
    expect(stdout).toContain("hint         Look behind the \\x85 sofa.");
    expect(stdout).toContain("from         your own");
  });

  test("suggests the rule that was meant", async () => {
    const { status, stderr } = await rules(["show", "kernel/no-rot"]);
    expect([status, stderr]).toEqual([2, expect.stringContaining("Did you mean kernel/no-root?")]);
  });
});

describe("hiperiso rules test", () => {
  test("of a good file says so and ends with 0", async () => {
    const file = fileOf("good.yaml", ruleOf("good"));
    expect(await rules(["test", file])).toEqual({ status: 0, stdout: `${file}: 1 rule holds; nothing is wrong.\n`, stderr: "" });
    expect(JSON.parse((await rules(["test", file, "--json"])).stdout)).toEqual({
      file,
      rules: ["own/good"],
      errors: 0,
      warnings: 0,
      findings: [],
      hidden: [],
    });
  });

  test("names what is wrong by line and column and ends with 2", async () => {
    const file = fileOf("bad.yaml", `${ruleOf("good")}${ruleOf("bad", "^(?:a+)+ gone")}`);
    const { status, stdout } = await rules(["test", file]);
    expect(status).toBe(2);
    expect(stdout).toBe(
      `${file}:16:12: error: [1].pattern: a line could keep this pattern busy for ever: it has a repetition inside a repetition\n${file}: 1 rule holds.\n`,
    );
    expect(JSON.parse((await rules(["test", file, "--json"])).stdout)).toMatchObject({ rules: ["own/good"], errors: 1 });
  });

  test("names an example for which another rule speaks", async () => {
    const file = fileOf("hidden.yaml", `${ruleOf("first")}${ruleOf("second", "widget gone")}`);
    const { status, stdout } = await rules(["test", file]);
    expect([status, stdout]).toEqual([
      2,
      expect.stringContaining('own/second: in an analysis own/first speaks for its example "widget gone"'),
    ]);
  });

  test("of a file that cannot be read ends with 2 and one error", async () => {
    const { status, stdout, stderr } = await rules(["test", folder]);
    expect([status, stdout, stderr]).toEqual([2, "", expect.stringContaining(`where     ${folder}`)]);
  });
});
