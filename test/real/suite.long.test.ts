import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { suiteResultSchema } from "../../src/contract/suite.ts";
import { demoImage, indexedIds, readRecorded, run, workplace } from "./harness.ts";

describe("hiperiso test", () => {
  it("boots a matrix of six, a session each, and tells the results in every form", async () => {
    await using place = await workplace();
    const file = join(place.root, "t.yaml");
    const script =
      "{ fail_on: Kernel panic, steps: [{ expect: 'login: ' }, { send: \"root\\n\" }, { expect: '# ' }, { run: uname -m, output: x86_64 }] }";
    writeFileSync(
      file,
      `name: six\nimage: ${JSON.stringify(await demoImage())}\nfirmware: [uefi, bios]\nas: [cd, usb, virtio]\nram: 384\ncpus: 1\nscript: ${script}\n`,
    );
    const [junit, html] = ["r.xml", "r.html"].map((name) => join(place.root, name));
    const { status, stdout, stderr } = await run(["test", file, "--log-dir", place.logs, "--json", "--junit", junit!, "--html", html!]);
    expect(status, stderr).toBe(0);
    const result = suiteResultSchema.parse(JSON.parse(stdout));
    expect(result).toMatchObject({ name: "six", passed: 6, failed: 0, errors: 0, not_run: 0, flaky: 0 });
    expect(new Set(result.jobs.map(({ id }) => id)).size).toBe(6);
    const ids = result.jobs.map((job) => {
      const { session, report } = readRecorded(job.runs[0]!.session!);
      expect(session).toMatchObject({ result: "success", firmware: job.settings["firmware"], guest_ram_mb: 384, guest_cpus: 1 });
      expect(report).toMatchObject({ script: { result: "passed" } });
      return session.session_id;
    });
    expect([...indexedIds(place.logs)].sort()).toEqual([...ids].sort());
    expect(readFileSync(junit!, "utf8")).toContain('tests="6" failures="0" errors="0" skipped="0"');
    expect(readFileSync(html!, "utf8")).toContain("6 of 6 passed");
  });

  it("fails what does not come up, takes a failure that was expected, and tries again what was asked for", async () => {
    await using place = await workplace();
    const file = join(place.root, "t.yaml");
    const [good, bad] = [await demoImage(), await demoImage("broken-init")].map((path) => JSON.stringify(path));
    writeFileSync(
      file,
      `ram: 384\nfirmware: bios\ntests:
  - { name: good, image: ${good}, until: kernel }
  - { name: bad, image: ${bad} }
  - { name: known, image: ${bad}, expect: { result: failure, finding: init_died } }
  - { name: other, image: ${bad}, expect: { result: failure, finding: no_root } }\n`,
    );
    const { status, stdout, stderr } = await run(["test", file, "--log-dir", place.logs, "--retry", "1"]);
    expect(status, stderr).toBe(1);
    expect(stdout).toMatch(/^passed {2}good /m);
    expect(stdout).toMatch(/^FAILED {2}bad .* 2 runs$/m);
    expect(stdout).toMatch(/^passed {2}known /m);
    expect(stdout).toMatch(/no finding no_root; there is .*init_died/);
    expect(stdout).toContain("2 of 4 passed, 2 failed");
    expect(indexedIds(place.logs)).toHaveLength(6);
  });
});
