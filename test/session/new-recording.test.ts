import { expect, test } from "vitest";
import { PARAMETERS, standardSettings } from "../../src/contract/parameters.ts";
import { tildify } from "../../src/host/xdg.ts";
import { environmentLines, scratchRoot } from "../../src/session/new-recording.ts";

const env = { HOME: "/home/ann" };

test("env.txt: every setting by its kernel parameter, one line each, no home folder, nothing of the environment", () => {
  const settings = { ...standardSettings, iso: "/home/ann/a\nHOME=/x\x1b[2J.iso", tpm: true };
  const lines = environmentLines(settings, { cpu_model: "x\ny" }, (path) => tildify(path, { ...env, SECRET: "hunter2" }));
  for (const { kernel } of PARAMETERS) if (kernel !== undefined) expect(lines.has(kernel), kernel).toBe(true);
  expect(lines.get("hiperiso_iso")).toBe("~/a\\x0aHOME=/x\\x1b[2J.iso");
  expect(lines.get("hiperiso_tpm")).toBe("1");
  expect(lines.get("hiperiso_secure_boot")).toBe("0");
  expect(lines.get("hiperiso_cpu_features")).toBe("");
  expect(lines.get("host_cpu_model")).toBe("x\\x0ay");
  expect([...lines].join("\n")).not.toMatch(/hunter2|\/home\/ann/);
});

test.each([
  [{}, "/var/tmp"],
  [{ TMPDIR: "/scratch" }, "/scratch"],
  [{ TMPDIR: "" }, "/var/tmp"],
  [{ TMPDIR: "relative" }, "/var/tmp"],
])("private files with %j go to %s", (given, root) => {
  expect(scratchRoot(given)).toBe(root);
});
