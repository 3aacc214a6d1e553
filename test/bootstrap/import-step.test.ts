import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  guestFilePath,
  IMPORT_MARKER,
  IMPORT_PACKAGE,
  IMPORT_PACKAGE_FILES,
  IMPORT_PROGRAM,
  importStepFile,
  type StepInterpreter,
} from "../../src/bootstrap/import-step.ts";
import { requireKaemScript } from "../../src/bootstrap/kaem-script.ts";
import { Workshop } from "../guest/importer-builds.ts";
import { container } from "../guest/payload-writer.ts";
import { buildKaem, noKaem } from "./real-kaem.ts";

const textOf = (guestFile: string): string => readFileSync(guestFilePath(guestFile), "utf8");

describe("the files that a tree gets", () => {
  test("are there, and stand where a package and a step stand", () => {
    expect(IMPORT_PACKAGE_FILES.map(({ path }) => path)).toEqual([
      "steps/payload-import-1.0/pass1.kaem",
      "steps/payload-import-1.0/src/payload-import.c",
    ]);
    for (const interpreter of ["kaem", "bash"] as const) expect(importStepFile(interpreter).path).toBe("steps/improve/import_payload.sh");
    for (const { guestFile } of [...IMPORT_PACKAGE_FILES, importStepFile("kaem"), importStepFile("bash")])
      expect(existsSync(guestFilePath(guestFile)), guestFile).toBe(true);
  });

  test("are scripts that kaem can run with the programs of its age", () => {
    const step = importStepFile("kaem").guestFile;
    requireKaemScript(textOf(step), step, { programs: new Set(["match", IMPORT_PROGRAM]) });
    const pass = IMPORT_PACKAGE_FILES[0]!.guestFile;
    requireKaemScript(textOf(pass), pass, { programs: new Set(["match", "tcc", "sha256sum", "cp"]) });
  });

  test("name the program and the marker as we do, the marker outside of the distfiles", () => {
    for (const interpreter of ["kaem", "bash"] as const)
      expect(textOf(importStepFile(interpreter).guestFile)).toContain(`${IMPORT_PROGRAM} --once ${IMPORT_MARKER} `);
    expect(IMPORT_MARKER).not.toContain("/external/distfiles");
    expect(IMPORT_PACKAGE.startsWith(`${IMPORT_PROGRAM}-`)).toBe(true);
  });
});

const workshop = new Workshop();
const importer = workshop.importers("gcc, 64 bits")[0]?.program;
afterAll(() => workshop.remove());

/**
 * The step in its interpreter, called as the tree's generated script calls it, with `/external` moved into a folder: what is there afterwards,
 * and whether the script went on behind the step.
 */
function steps(interpreter: StepInterpreter, describeOrSkip: typeof describe.skip, shell: (folder: string) => string): void {
  describeOrSkip(`the step in ${interpreter}`, () => {
    let place: string;
    let bin: string;
    let tools: string;
    beforeAll(() => {
      tools = mkdtempSync(join(tmpdir(), "hiperiso-test-"));
      bin = shell(tools);
      symlinkSync(importer!, join(bin, IMPORT_PROGRAM));
    });
    afterAll(() => rmSync(tools, { recursive: true, force: true }));
    beforeEach(() => {
      place = mkdtempSync(join(tmpdir(), "hiperiso-test-"));
      mkdirSync(join(place, "external/distfiles"), { recursive: true });
      mkdirSync(join(place, "improve"));
      const moved = textOf(importStepFile(interpreter).guestFile)
        .replaceAll("/external/", `${place}/external/`)
        // Without a device named it would look at the disks of this computer.
        .replace(/^( +payload-import .*)$/m, `$1 ${place}/disk`);
      writeFileSync(join(place, "improve/import_payload.sh"), moved);
    });
    afterEach(() => rmSync(place, { recursive: true, force: true }));

    function run(required: string | undefined): { readonly status: number | null; readonly wentOn: boolean; readonly stdout: string } {
      const set = `${required === undefined ? "" : `PAYLOAD_REQUIRED=${required}\n`}DISTFILES=${place}/external/distfiles\n`;
      const call = interpreter === "kaem" ? "kaem --file improve/import_payload.sh" : ". improve/import_payload.sh";
      const script = `${interpreter === "kaem" ? "set -ex" : "#!/bin/bash\nset -e"}\ncd ${place}\n${set}${call}\necho the next step\n`;
      writeFileSync(join(place, "script"), script);
      const { status, stdout } = spawnSync(
        join(bin, interpreter),
        interpreter === "kaem" ? ["--file", join(place, "script")] : [join(place, "script")],
        { env: { PATH: bin }, encoding: "utf8" },
      );
      return { status, stdout, wentOn: /^the next step$/m.test(stdout) };
    }
    const disk = (saysCount?: bigint) =>
      writeFileSync(
        join(place, "disk"),
        container({ entries: [{ name: "a.tar.gz", bytes: "a" }], ...(saysCount === undefined ? {} : { saysCount }) }),
      );
    const there = () => readdirSync(join(place, "external")).sort();
    const distfiles = () => readdirSync(join(place, "external/distfiles")).sort();

    test("imports, marks and goes on", () => {
      disk();
      expect(run("True")).toMatchObject({ status: 0, wentOn: true });
      expect([distfiles(), there()]).toEqual([["a.tar.gz"], ["distfiles", "payload-imported"]]);
    });

    test("imports once", () => {
      disk();
      run("True");
      rmSync(join(place, "external/distfiles/a.tar.gz"));
      expect(run("True")).toMatchObject({ status: 0, wentOn: true, stdout: expect.stringContaining("imported before") });
      expect(distfiles()).toEqual([]);
    });

    test.each(["False", undefined, ""])("does nothing where no payload is required: %j", (required) => {
      disk();
      expect(run(required)).toMatchObject({ status: 0, wentOn: true });
      expect([distfiles(), there()]).toEqual([[], ["distfiles"]]);
    });

    test("ends with an error where the payload is damaged, without a marker, and the script with it", () => {
      disk(2n);
      const { status, wentOn } = run("True");
      expect(status).not.toBe(0);
      expect(wentOn).toBe(false);
      expect([distfiles(), there()]).toEqual([["a.tar.gz"], ["distfiles"]]);
      disk();
      expect(run("True")).toMatchObject({ status: 0, wentOn: true });
      expect(there()).toEqual(["distfiles", "payload-imported"]);
    });

    test("ends with an error where there is no payload", () => {
      const { status, wentOn } = run("True");
      expect(status).not.toBe(0);
      expect([wentOn, there()]).toEqual([false, ["distfiles"]]);
    });
  });
}

steps("bash", describe.skipIf(importer === undefined), (folder) => {
  symlinkSync("/bin/bash", join(folder, "bash"));
  return folder;
});
steps("kaem", describe.skipIf(importer === undefined || noKaem !== ""), buildKaem);
