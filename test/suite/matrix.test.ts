import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { suiteSchema } from "../../src/contract/suite.ts";
import { chosenJobs, decodeSuite, type Suite } from "../../src/suite/matrix.ts";
import type { Variables } from "../../src/suite/script-file.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-suite-"));
  mkdirSync(join(folder, "sub"));
  for (const name of ["a.iso", "b.iso", "sub/c.img", "vmlinuz"]) writeFileSync(join(folder, name), "x");
  writeFileSync(join(folder, "login.yaml"), 'variables: { user: root }\nsteps:\n  - send: "{{user}}"\n');
  writeFileSync(join(folder, "broken.yaml"), "steps:\n  - expct: x\n  - send: 1\n");
});
afterAll(() => rmSync(folder, { recursive: true }));

const decoded = (text: string, variables: Variables = {}): Promise<Suite> =>
  decodeSuite(text, join(folder, "t.yaml"), { variables, expandHome: (path) => path.replace(/^~/, folder) });

/** Faults without the folder's name. */
async function faultsOf(text: string): Promise<string> {
  const error: unknown = await decoded(text).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(HiperisoError);
  const { where, found, kind } = error as HiperisoError;
  expect(kind).toBe("usage");
  return (found?.includes("\n") === true ? found : `${where}: ${found}`).replaceAll(`${folder}/`, "");
}

const ids = ({ jobs }: Suite) => jobs.map(({ id }) => id);

describe("a test file", () => {
  test("is every combination of its values; a job's name says what tells it from the others", async () => {
    const suite = await decoded("name: n\nimage: a.iso\nfirmware: [uefi, bios]\nram: [512, 1024]\ncpus: 1\nas: [cd, usb, virtio]");
    expect(suite.name).toBe("n");
    expect(suite.jobs).toHaveLength(12);
    expect(new Set(ids(suite)).size).toBe(12);
    const first = suite.jobs[0]!;
    expect(first).toEqual({
      id: "n ram=512 firmware=uefi as=cd",
      test: "n",
      image: join(folder, "a.iso"),
      words: ["--guest-ram=512", "--guest-cpus=1", "--firmware=uefi", "--as=cd"],
      script: null,
      expect: {},
      needs: { memoryMb: 512 + 256, processors: 1 },
      settings: { ram: "512", firmware: "uefi", as: "cd" },
    });
    expect(JSON.parse(JSON.stringify(suite.jobs)), "plain data").toEqual(suite.jobs);
  });

  test("without a name is named after itself and its images; the contract's memory and processors are counted", async () => {
    const suite = await decoded("image: [a.iso, ~/b.iso, sub/c.img]");
    expect([suite.name, ...ids(suite)]).toEqual(["t", "a.iso", "b.iso", "c.img"]);
    expect(suite.jobs.map(({ image }) => image)).toEqual(["a.iso", "b.iso", "sub/c.img"].map((name) => join(folder, name)));
    expect(suite.jobs[0]!.needs).toEqual({ memoryMb: 2048 + 256, processors: 2 });
  });

  test("may hold several tests, which share what stands beside them", async () => {
    const suite = await decoded(`
name: all
ram: 512
tests:
  - name: one
    image: a.iso
  - name: two
    image: b.iso
    ram: [256, 512]
    expect: { result: failure, finding: no_root, stage: kernel }
  - image: b.iso
  - image: b.iso
`);
    expect(ids(suite)).toEqual(["one", "two ram=256", "two ram=512", "b.iso", "b.iso #2"]);
    expect(suite.jobs.map(({ words }) => words[0])).toEqual([
      "--guest-ram=512",
      "--guest-ram=256",
      "--guest-ram=512",
      "--guest-ram=512",
      "--guest-ram=512",
    ]);
    expect(suite.jobs[1]!.expect).toEqual({ result: "failure", finding: "no_root", stage: "kernel" });
  });

  test("leaves out what is excluded", async () => {
    const suite = await decoded("image: [a.iso, b.iso]\nfirmware: [uefi, bios]\nexclude: [{ firmware: bios, image: a.iso }]");
    expect(ids(suite)).toEqual(["a.iso firmware=uefi", "b.iso firmware=uefi", "b.iso firmware=bios"]);
  });

  test("says every kind of value in the words of hiperiso boot", async () => {
    const suite = await decoded(`
kernel: vmlinuz
initrd: [[sub/c.img, a.iso]]
append: ["console=ttyS0 root=/dev/vda", ""]
disk: [[8G, "8G,file=new.img", "sub/c.img,keep"]]
tpm: [true, false]
hang_limit: 30
`);
    const absolute = (name: string) => join(folder, name);
    expect(suite.jobs).toHaveLength(4);
    expect(suite.jobs[0]).toMatchObject({ id: "kernel tpm=true append=console=ttyS0 root=/dev/vda", image: null });
    expect(suite.jobs[0]!.words).toEqual([
      "--tpm",
      `--kernel=${absolute("vmlinuz")}`,
      `--initrd=${absolute("sub/c.img")}`,
      `--initrd=${absolute("a.iso")}`,
      "--append=console=ttyS0 root=/dev/vda",
      "--disk=8G",
      `--disk=8G,file=${absolute("new.img")}`,
      `--disk=${absolute("sub/c.img")},keep`,
      "--hang-limit=30",
    ]);
    expect(suite.jobs.at(-1)!.words).not.toContain("--tpm");
    expect(suite.jobs.at(-1)!.words.some((word) => word.startsWith("--append"))).toBe(false);
  });

  test("has scripts of its own or in files, whole in each job, with its variables", async () => {
    const suite = await decoded(
      'image: a.iso\nvariables: { user: bob }\nscript: [login.yaml, { name: own, steps: [{ send: "{{user}}" }] }, null]',
    );
    expect(ids(suite)).toEqual(["a.iso script=login", "a.iso script=own", "a.iso script=none"]);
    expect(suite.jobs[0]!.script!.steps[0]).toMatchObject({ text: ["bob"], where: join(folder, "login.yaml:3:5") });
    expect(suite.jobs[1]!.script!.steps[0]).toMatchObject({ text: ["bob"], where: join(folder, "t.yaml:3:43") });
    expect(suite.jobs[2]!.script).toBeNull();
    expect((await decoded("image: a.iso\nscript: login.yaml", { user: "eve" })).jobs[0]!.script!.steps[0]).toMatchObject({ text: ["eve"] });
  });

  test("that the schema takes is one that is read", () => {
    expect(suiteSchema.safeParse({ image: "a.iso", ram: [512, 1024], tests: [{ script: "x" }] }).success).toBe(true);
    expect(suiteSchema.safeParse({ image: "a.iso", memory: 512 }).success).toBe(false);
  });
});

describe("what is wrong is told by line and column", () => {
  test.each([
    ["", 't.yaml:1:1: expected a matrix with its "image:", found null'],
    ["firmware: uefi", 't.yaml:1:1: expected an "image:", or a "kernel:" to boot without one'],
    ["image: none.iso", "t.yaml:1:8: there is no file"],
    ["image: [a.iso, 7]", "t.yaml:1:16: expected the path of an image, found 7"],
    ["kernel: vmlinuz\ninitrd: [sub/c.img, none]", "t.yaml:2:21: there is no file"],
    ["image: a.iso\nmemory: 512", 't.yaml:2:1: unknown key "memory"; did you mean "ram"?'],
    ["image: a.iso\nfirmwar: uefi", 't.yaml:2:1: unknown key "firmwar"; did you mean "firmware"?'],
    ["image: a.iso\nfirmware: [uefi, efi]", 't.yaml:2:18: expected one of uefi, bios, found "efi"'],
    ["image: a.iso\nram: 3", 't.yaml:2:6: expected a whole number from 16 to 1048576 (MB), found "3"'],
    ["image: a.iso\nram: 1.5", "t.yaml:2:6: expected a whole number, found 1.5"],
    ["image: a.iso\ntpm: 1", "t.yaml:2:6: expected true or false, found 1"],
    ["image: a.iso\nas: cdrom", "t.yaml:2:5: expected one of "],
    ["image: a.iso\nas: [[cd]]", 't.yaml:2:6: expected a text, found ["cd"]'],
    ["image: a.iso\nuntil: logn", "t.yaml:2:8: expected firmware, bootloader"],
    ["image: a.iso\nexpect: { result: sucess }", "t.yaml:2:19: "],
    ["image: a.iso\nexpect: { reslt: success }", 't.yaml:2:18: unknown key "reslt"; expected result, stage, finding'],
    ["image: a.iso\nexclude: [{ firmware: bios }]", 't.yaml:2:23: "firmware" is no key of this test\'s matrix'],
    ["image: a.iso\nscript: none.yaml", "t.yaml:2:9: none.yaml: nothing by this name"],
    ["image: a.iso\nscript: { steps: [{ send: x, tims: 1 }] }", 'unknown key "tims"; did you mean "times"?'],
    ["image: a.iso\nscript: login.yaml\nuntil: login", "t.yaml:3:8: a script ends the boot with its last step"],
    ["image: a.iso\ntests: []", "t.yaml:2:8: expected a list of tests, found []"],
    ["image: a.iso\ntests: [7]", "t.yaml:2:9: expected a test with its settings, found 7"],
    ["image: [a.iso", "t.yaml:1:"],
  ])("%j", async (text, fault) => {
    expect(await faultsOf(text)).toContain(fault);
  });

  test("also all that is wrong in its scripts, by their own places", async () => {
    const found = await faultsOf("image: a.iso\nscript: broken.yaml");
    expect(found).toContain('broken.yaml:2:5: unknown key "expct"');
    expect(found).toContain("broken.yaml:3:11: expected a text");
  });

  test("more boots than anybody wants", async () => {
    const many = (count: number) => `[${Array.from({ length: count }, (_, index) => index + 100).join(", ")}]`;
    expect(await faultsOf(`image: a.iso\nram: ${many(100)}\ntime_limit: ${many(100)}\nhang_limit: ${many(100)}`)).toContain(
      "expected at most 10000 boots",
    );
  });

  test("whatever the file holds, it is a matrix or a fault with its place", async () => {
    const word = fc.constantFrom(
      "image: a.iso\n",
      "ram: ",
      "tests:",
      "\n - ",
      "[",
      "]",
      "{",
      "}",
      "512",
      ": ",
      "script: ",
      "steps",
      "exclude: ",
      "expect: ",
      "null",
      "~",
      "\n",
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(word, fc.string({ maxLength: 3 })), { maxLength: 15 }), async (words) => {
        const outcome = await decoded(words.join("")).catch((error: unknown) => error);
        if (outcome instanceof Error) {
          expect(outcome).toBeInstanceOf(HiperisoError);
          expect((outcome as HiperisoError).where).toMatch(/:\d+:\d+$/);
        } else expect((outcome as Suite).jobs.length).toBeGreaterThan(0);
      }),
      { numRuns: 300 },
    );
  });
});

test("jobs are chosen by a part of their name or a glob; what fits none is a fault", async () => {
  const { jobs } = await decoded("image: [a.iso, b.iso]\nfirmware: [uefi, bios]");
  const chosen = (...only: string[]) => chosenJobs(jobs, only).map(({ id }) => id);
  expect(chosen()).toHaveLength(4);
  expect(chosen("firmware=bios")).toEqual(["a.iso firmware=bios", "b.iso firmware=bios"]);
  expect(chosen("b.iso*uefi", "a.iso firmware=bios")).toEqual(["a.iso firmware=bios", "b.iso firmware=uefi"]);
  expect(() => chosen("firmware=bios", "usb")).toThrow(expect.objectContaining({ kind: "usage", found: '"usb", which fits none of 4' }));
});
