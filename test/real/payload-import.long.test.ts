/** The importer in guests on each kind of disk, as second and as third, whole and damaged, and with a million random payloads. */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Bus } from "../../src/machine/drives.ts";
import { Workshop } from "../guest/importer-builds.ts";
import { container, type Entry } from "../guest/payload-writer.ts";
import { workplace } from "./harness.ts";
import { bootPayloadGuest, diskWith, linesOf, type PayloadGuest, payloadGuest, sumsOf } from "./payload-guest.ts";

const workshop = new Workshop();
const builds = { 32: workshop.staticImporter(32), 64: workshop.staticImporter(64) };
const folders: string[] = [];
const guests: Partial<Record<32 | 64, PayloadGuest>> = {};

beforeAll(async () => {
  for (const bits of [32, 64] as const) {
    folders.push(await mkdtemp(join(tmpdir(), "hiperiso-test-")));
    const { program } = builds[bits];
    if (program !== undefined) guests[bits] = await payloadGuest(folders.at(-1)!, program);
  }
});
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
  workshop.remove();
});

const ENTRIES: readonly Entry[] = [
  { name: "a-1.0.tar.gz", bytes: "the first file\n" },
  { name: "b.tar.xz", bytes: Buffer.alloc(3_000_001, "a line of a larger file\n") },
  { name: "empty", bytes: "" },
];

const BUSES = ["ide", "sata", "virtio", "usb"] as const satisfies readonly Bus[];
const CASES = BUSES.flatMap(
  (bus) =>
    [
      { bus, second: true, wide: false, bits: 32 },
      { bus, second: false, wide: true, bits: 64 },
    ] as const,
);

describe.each(CASES)("a payload on $bus, second: $second, wide: $wide, importer of $bits bits", ({ bus, second, wide, bits }) => {
  const bootWith = async (root: string, payload: Uint8Array, append = "") => {
    const payloadDisk = await diskWith(join(root, "payload.img"), payload);
    const others = await Promise.all(
      ["first", "other"].map((name) => diskWith(join(root, `${name}.img`), Buffer.from(`the ${name} disk`))),
    );
    const disks = second ? [others[0]!, payloadDisk, others[1]!] : [...others, payloadDisk];
    return await bootPayloadGuest(guests[bits]!, { bus, disks, logs: join(root, "logs"), append });
  };

  test.skipIf(builds[bits].program === undefined)("is imported", async () => {
    await using place = await workplace();
    const { session, serial } = await bootWith(place.root, container({ entries: ENTRIES, wide }));
    expect(session.result, serial).toBe("success");
    expect(serial).toMatch(new RegExp(`payload-import: /dev/[sv]d[abc]: a payload of 3 files, ${wide ? "64" : "32"}-bit form`));
    for (const sum of sumsOf(ENTRIES)) expect(linesOf(serial)).toContain(sum);
  });

  test.skipIf(builds[bits].program === undefined)("is refused where it is damaged, and the session says why", async () => {
    await using place = await workplace();
    const { session, report, serial } = await bootWith(
      place.root,
      container({ entries: [ENTRIES[0]!, { name: "../escape", bytes: "x" }], wide }),
    );
    expect(serial).toContain("guest: the importer ended with status 7");
    expect(session.result).toBe("failure");
    expect(report.findings.find(({ cause }) => cause)?.text).toMatch(
      /^payload-import: FAILED: .*"\.\.\/escape": this name is not allowed \(status 7\)$/,
    );
  });
});

test.skipIf(builds[32].program === undefined)("a target that is full stops the import, with nothing half in it", async () => {
  await using place = await workplace();
  const disks = [
    await diskWith(join(place.root, "first.img"), Buffer.from("the first disk")),
    await diskWith(join(place.root, "payload.img"), container({ entries: ENTRIES })),
  ];
  const { session, report, serial } = await bootPayloadGuest(guests[32]!, {
    bus: "virtio",
    disks,
    logs: place.logs,
    append: "guest.full=1024",
  });
  expect(serial).toContain("guest: the importer ended with status 11");
  expect(serial).not.toMatch(/ \.payload-import\.part/);
  expect(session.result).toBe("failure");
  expect(report.findings.find(({ cause }) => cause)?.text).toContain("cannot write (is the disk full?)");
});

describe.each(workshop.harnesses())("the importer in memory, $name, with sanitizers", ({ program }) => {
  test.skipIf(program === undefined)("does with a million random payloads what a second reader expects", () => {
    const { status, stdout } = spawnSync(program!, ["fuzz", "1000000007", "1000000"], { encoding: "utf8" });
    expect(status, stdout).toBe(0);
    const runs = stdout
      .trim()
      .split("\n")
      .map((line) => Number(line.split(" ")[1]));
    expect(runs.reduce((sum, count) => sum + count, 0)).toBe(1_000_000);
  });
});
