/** The importer in real guests: the kernel finds the disks, the importer the payload, and the session says how it went. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Workshop } from "../guest/importer-builds.ts";
import { container, type Entry } from "../guest/payload-writer.ts";
import { workplace } from "./harness.ts";
import { bootPayloadGuest, diskWith, linesOf, type PayloadGuest, payloadGuest, sumsOf } from "./payload-guest.ts";

const workshop = new Workshop();
const importer = workshop.staticImporter(32);
let folder = "";
let guest: PayloadGuest;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
  if (importer.program !== undefined) guest = await payloadGuest(folder, importer.program);
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  workshop.remove();
});

const ENTRIES: readonly Entry[] = [
  { name: "a-1.0.tar.gz", bytes: "the first file\n" },
  { name: "b.tar.xz", bytes: Buffer.alloc(3_000_001, "a line of a larger file\n") },
  { name: "empty", bytes: "" },
];

describe.skipIf(importer.program === undefined)(`the importer in a guest (needs ${importer.needs})`, () => {
  test("finds the payload on the second virtio disk, whose number only the kernel knows, and imports it once", async () => {
    await using place = await workplace();
    const disks = [
      await diskWith(join(place.root, "first.img"), Buffer.from("no payload")),
      await diskWith(join(place.root, "payload.img"), container({ entries: ENTRIES })),
    ];
    const { session, serial } = await bootPayloadGuest(guest, { bus: "virtio", disks, logs: place.logs });
    expect(session.result, serial).toBe("success");
    const lines = linesOf(serial);
    expect(lines).toContain("payload-import: /dev/vdb: a payload of 3 files, 32-bit form");
    expect(lines).toContain("payload-import: nothing to do, the payload was imported before: /payload-imported");
    for (const sum of sumsOf(ENTRIES)) expect(lines).toContain(sum);
    expect(serial).not.toContain(".payload-import.part");
  });

  test("says that a payload is damaged, and the session explains it", async () => {
    await using place = await workplace();
    const whole = container({ entries: ENTRIES, padTo: 1 });
    const disks = [
      await diskWith(join(place.root, "first.img"), Buffer.from("no payload")),
      // The disk ends inside of the second file.
      await diskWith(join(place.root, "payload.img"), whole.subarray(0, 2 ** 20)),
    ];
    const { session, report, serial } = await bootPayloadGuest(guest, { bus: "ide", disks, logs: place.logs });
    // Linux looks at both channels at once, so which disk is sda may change from boot to boot.
    const failure =
      /^payload-import: FAILED: \/dev\/sd[ab]: byte 0x0000000000100000: file 2 of 3 "b\.tar\.xz": the device ends before the payload does \(status 4\)$/;
    expect(linesOf(serial).filter((line) => failure.test(line))).toHaveLength(2); // the second run was not kept from trying
    expect(serial).toContain("guest: the importer ended with status 4");
    expect(session.result).toBe("failure");
    const cause = report.findings.find(({ cause: is }) => is);
    expect(cause?.text).toMatch(failure);
    expect(cause?.explanation).toContain("The payload disk could not be imported");
  });
});
