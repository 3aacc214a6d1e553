import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { blockDevices, type ScannedDevice, scanForPayload } from "../../../src/bootstrap/payload/scan.ts";
import { quietJob } from "../../../src/contract/job.ts";
import { makeContainer, testFolder, thrownBy } from "./folder.ts";

const folder = testFolder();

async function scanAll(paths: readonly string[]): Promise<ScannedDevice[]> {
  const found: ScannedDevice[] = [];
  for await (const device of scanForPayload(paths, quietJob)) found.push(device);
  return found;
}

/** A block device of a file's bytes, or why there is none here. */
function loopDevice(path: string): string | undefined {
  const { status, stdout } = spawnSync("losetup", ["--find", "--show", path], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}

const hasLoopDevices = ((): boolean => {
  const { status, stdout } = spawnSync(
    "sh",
    ["-c", 'file=$(mktemp) && truncate -s 4096 "$file" && losetup --find --show "$file"; rm -f "$file"'],
    { encoding: "utf8" },
  );
  const device = stdout.trim();
  return status === 0 && device !== "" && spawnSync("losetup", ["--detach", device]).status === 0;
})();

describe("a scan", () => {
  test("says of each what it is, in their order, also behind one that cannot be read", async () => {
    await makeContainer(folder.at("narrow"), { a: "1", b: "2" });
    await makeContainer(folder.at("wide"), { a: "1" }, { wide: true });
    writeFileSync(folder.at("empty-container"), Buffer.concat([Buffer.from("LBPAYLD1"), Buffer.alloc(1016)]));
    writeFileSync(folder.at("short"), "LBPAYLD1");
    writeFileSync(folder.at("other"), "LBPAYLD2 and more");
    writeFileSync(folder.at("tiny"), "L");
    writeFileSync(folder.at("nothing-in-it"), "");
    mkdirSync(folder.at("folder"));
    const found = await scanAll(
      ["absent", "other", "folder", "tiny", "narrow", "nothing-in-it", "empty-container", "short", "wide"].map((name) => folder.at(name)),
    );
    expect(found.map(({ path, ...answer }) => [path.slice(folder.path.length + 1), answer])).toEqual([
      ["absent", { answer: "unreadable", because: "no such file" }],
      ["other", { answer: "other" }],
      ["folder", { answer: "unreadable", because: "a directory" }],
      ["tiny", { answer: "other" }],
      ["narrow", { answer: "payload", width: 32, entryCount: 2, sizeBytes: 1024 }],
      ["nothing-in-it", { answer: "unreadable", because: "an empty file" }],
      ["empty-container", { answer: "damaged", because: "expected at least one entry, found 0" }],
      ["short", { answer: "damaged", because: expect.stringMatching(/the end of the container/) }],
      ["wide", { answer: "payload", width: 64, entryCount: 1, sizeBytes: 1024 }],
    ]);
  });

  test.skipIf(!hasLoopDevices)("finds a container on a block device, with its size", async () => {
    await makeContainer(folder.at("disk"), { a: "x".repeat(5000) });
    const device = loopDevice(folder.at("disk"))!;
    try {
      expect(await scanAll([device])).toEqual([{ path: device, answer: "payload", width: 32, entryCount: 1, sizeBytes: 5120 }]);
      // The kernel's own list has it too, with the sizes in KiB.
      expect(readFileSync("/proc/partitions", "utf8")).toMatch(new RegExp(` ${device.slice("/dev/".length)}$`, "m"));
      expect(await blockDevices()).toContain(device);
    } finally {
      spawnSync("losetup", ["--detach", device]);
    }
  });

  test("of a computer takes the disks that its kernel lists", async () => {
    const list =
      "major minor  #blocks  name\n\n   8        0  268435456 sda\n   8        1     102400 sda1\n 104        0       1024 cciss/c0d0\n";
    writeFileSync(folder.at("partitions"), list);
    expect(await blockDevices({ proc: folder.path, dev: "/somewhere" })).toEqual([
      "/somewhere/sda",
      "/somewhere/sda1",
      "/somewhere/cciss/c0d0",
    ]);
  });

  test("where no kernel lists disks says what to do", async () => {
    expect(String(await thrownBy(blockDevices({ proc: folder.at("none") })))).toMatch(
      /none\/partitions.*Name the devices or images to look at/,
    );
  });

  test("can be aborted between two disks", async () => {
    const abort = new AbortController();
    await makeContainer(folder.at("disk"), { a: "1" });
    const walk = scanForPayload([folder.at("disk"), folder.at("disk")], { ...quietJob, signal: abort.signal });
    expect((await walk.next()).value).toMatchObject({ answer: "payload" });
    abort.abort(new DOMException("stop", "AbortError"));
    expect(await thrownBy(walk.next())).toBe(abort.signal.reason);
  });
});
