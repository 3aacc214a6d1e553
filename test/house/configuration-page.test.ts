import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { emptyConfig, parseConfig } from "../../src/config/hiperiso-json.ts";
import { flagOf, PARAMETERS } from "../../src/contract/parameters.ts";

const page = readFileSync(resolve(import.meta.dirname, "../../docs/configuration.md"), "utf8");

describe("docs/configuration.md", () => {
  test("has a row for each setting, with its names, values and default", () => {
    const rows = page
      .split("\n")
      .filter((line) => line.startsWith("| `--"))
      .map((line) => line.split("|").map((cell) => cell.trim()));
    const settings = PARAMETERS.filter(({ setting }) => setting !== "iso");
    expect(rows).toHaveLength(settings.length);
    for (const row of settings) {
      const cells = rows.find(([, flags]) => flags?.startsWith(`\`${flagOf(row)}\``));
      expect(cells, flagOf(row)).toBeDefined();
      const [, flags, override, control, values, standard] = cells!;
      if (row.alias !== undefined) expect(flags).toContain(`\`--${row.alias}\``);
      expect([override, control]).toEqual([row.override, row.control].map((key) => (key === undefined ? "" : `\`${key}\``)));
      if (row.value.type === "choice") expect(values).toBe(row.value.values.map((value) => `\`${value}\``).join(", "));
      if (row.value.type === "integer") expect(values).toContain(`${row.value.min} to ${row.value.max}`);
      if (row.standard !== undefined && row.standard !== false) expect(standard).toContain(String(row.standard));
    }
  });

  test("has an example that is right, and names of errors that are real", () => {
    const example = /```jsonc\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
    const { config, findings } = parseConfig(example, "example");
    expect(findings).toEqual([]);
    expect(config).not.toEqual(emptyConfig);
    expect(config.isoOverrides).toHaveLength(2);

    const wrong = parseConfig('{\n  "control": { "default_ram": "much" },\n\n\n\n  "them": {}\n}', "hiperiso.json");
    for (const { where, line, column, path, message } of wrong.findings) {
      expect(page).toContain(`${where}:${line}:${column}: error: ${path}: ${message}\n`);
    }
    expect(wrong.findings).toHaveLength(2);
  });
});
