import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { command } from "../../src/cli/config.ts";
import { runProgram } from "../../src/cli/program.ts";
import { keptStreams } from "./streams.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-config-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function check(file: string, ...options: string[]) {
  const streams = keptStreams();
  const program = {
    name: "hiperiso",
    description: "",
    examples: [],
    commands: [{ name: "config", summary: "", load: async () => ({ command }) }],
  };
  const status = await runProgram(program, ["config", "check", file, ...options], streams, new AbortController().signal);
  return { status, stdout: streams.stdout(), stderr: streams.stderr() };
}

function fileOf(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe("hiperiso config check", () => {
  test("of a good file says so and ends with 0", async () => {
    const file = fileOf("good name.json", '{ "control": { "timeout": 5 } }');
    expect(await check(file)).toEqual({ status: 0, stdout: `${file}: nothing is wrong.\n`, stderr: "" });
    expect(JSON.parse((await check(file, "--json")).stdout)).toEqual({ file, errors: 0, warnings: 0, findings: [] });
  });

  test("names each error by line and column and ends with 2", async () => {
    const file = fileOf("bad.json", '{\n  "control": { "default_ram": 1 },\n  "controll": {}\n}');
    const { status, stdout } = await check(file);
    expect(status).toBe(2);
    expect(stdout).toBe(
      `${file}:2:31: error: control.default_ram: expected a whole number from 16 to 1048576 (MB), found 1\n` +
        `${file}:3:3: error: controll: unknown key "controll"; did you mean "control"?\n`,
    );
    const json = await check(file, "--json");
    expect(json.status).toBe(2);
    expect(JSON.parse(json.stdout)).toMatchObject({
      errors: 2,
      warnings: 0,
      findings: [
        { where: file, line: 2, column: 31, severity: "error" },
        { line: 3, column: 3 },
      ],
    });
  });

  test("ends with 0 where there are only warnings", async () => {
    const { status, stdout } = await check(fileOf("twice.json", '{ "theme": {}, "theme": {} }'));
    expect(status).toBe(0);
    expect(stdout).toContain('warning: theme: "theme" is there twice');
  });

  test("of a file that is not UTF-8, or too long, says so", async () => {
    const notUtf8 = await check(fileOf("utf16.json", Buffer.from("\ufeff{}", "utf16le")));
    expect([notUtf8.status, notUtf8.stdout]).toEqual([2, expect.stringContaining("not UTF-8")]);
    const tooLong = await check(fileOf("long.json", new Uint8Array(4_000_000).fill(0x20)));
    expect([tooLong.status, tooLong.stdout]).toEqual([2, expect.stringContaining("too long")]);
  });

  test("of what cannot be read ends with 2 and one error", async () => {
    mkdirSync(join(folder, "dir"));
    for (const [name, found] of [
      ["none.json", "nothing by this name"],
      ["dir", "a directory"],
    ] as const) {
      const { status, stdout, stderr } = await check(join(folder, name));
      expect([status, stdout]).toEqual([2, ""]);
      expect(stderr).toContain(`cannot read the configuration\n  where     ${join(folder, name)}`);
      expect(stderr).toContain(found);
    }
  });
});
