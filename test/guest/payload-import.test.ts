import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { IMPORTER_SOURCE, Workshop } from "./importer-builds.ts";
import { type Container, container, type Entry } from "./payload-writer.ts";

const workshop = new Workshop();
const importers = workshop.importers();
const harnesses = workshop.harnesses();
afterAll(() => workshop.remove());

let place: string;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), "hiperiso-test-"));
});
afterEach(() => rmSync(place, { recursive: true, force: true }));

const ENTRIES: readonly Entry[] = [
  { name: "a-1.0.tar.gz", bytes: "first\n" },
  { name: "empty", bytes: "" },
  { name: "name with spaces, and ü", bytes: Buffer.alloc(40_000, "0123456789abcdef!") },
  { name: "n".repeat(250), bytes: "\0\xff\n" },
];

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `payload-import DIR DEVICE…` on this container, DIR being `to`. */
function importing(program: string, bytes: Uint8Array, words: (device: string, to: string) => readonly string[] = (d, to) => [to, d]): Ran {
  const device = join(place, "device");
  writeFileSync(device, bytes);
  return run(program, words(device, join(place, "to")));
}

function run(program: string, words: readonly string[]): Ran {
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: "utf8" });
  return { status, stdout, stderr };
}

const imported = (folder = "to"): Readonly<Record<string, string>> =>
  Object.fromEntries(
    readdirSync(join(place, folder))
      .sort()
      .map((name) => [name, readFileSync(join(place, folder, name), "latin1")]),
  );

const contents = (entries: readonly Entry[]): Readonly<Record<string, string>> =>
  Object.fromEntries(entries.map(({ name, bytes }) => [name.toString(), Buffer.from(bytes).toString("latin1")]));

/** One line that says what failed, and nothing that says it went well. */
function expectFailure({ status, stdout, stderr }: Ran, expected: number, says: RegExp): void {
  expect(stderr).toMatch(/^payload-import: FAILED: [ -~]*\n$/);
  expect(stderr).toMatch(says);
  expect(stderr).toContain(`(status ${expected})`);
  expect(status).toBe(expected);
  expect(stdout).not.toContain("done");
}

describe.each(importers)("the importer built by $name", ({ name, program, needs }) => {
  test.skipIf(program === undefined)(`can be built (needs ${needs})`, () => {
    expect(program).toBeDefined();
  });
  if (program === undefined) return;

  test.each([{ wide: false }, { wide: true }])("unpacks a payload, wide: $wide, and again", ({ wide }) => {
    const bytes = container({ entries: ENTRIES, wide });
    for (let turn = 0; turn < 2; turn += 1) {
      const { status, stdout, stderr } = importing(program, bytes);
      expect([status, stderr]).toEqual([0, ""]);
      expect(stdout).toContain(`${join(place, "device")}: a payload of 4 files, ${wide ? "64" : "32"}-bit form\n`);
      expect(stdout).toContain('payload-import: 3 of 4 "name with spaces, and \\xc3\\xbc", 40000 bytes\n');
      expect(stdout).toMatch(/payload-import: done, files in .*\/to: 4\n$/);
      expect(imported()).toEqual(contents(ENTRIES));
    }
  });

  // Two of the builds: the same is done in memory below, and here each case is a process.
  const thorough = name === "gcc, 64 bits" || name === "tcc, 32 bits";
  if (thorough)
    test.each([{ wide: false }, { wide: true }])("says of every truncation that the payload is not whole, wide: $wide", ({ wide }) => {
      const entries = ENTRIES.slice(0, 2);
      const bytes = container({ entries, wide, padTo: 1 });
      const firstWhole = bytes.length - (wide ? 16 : 8) - "empty".length;
      for (let length = 0; length < bytes.length; length += 1) {
        rmSync(join(place, "to"), { recursive: true, force: true });
        const ran = importing(program, bytes.subarray(0, length), (device, to) => ["--once", join(place, "marker"), to, device]);
        if (length < 8) expectFailure(ran, 2, /no device starts with the magic LBPAYLD1/);
        else expectFailure(ran, 4, new RegExp(`byte 0x${length.toString(16).padStart(16, "0")}: .*ends before the payload`));
        expect(readdirSync(place).filter((name) => name === "marker")).toEqual([]);
        // A file is there only when it is whole.
        if (readdirSync(place).includes("to")) expect(imported()).toEqual(length >= firstWhole ? contents([ENTRIES[0]!]) : {});
      }
    });

  const whole = ENTRIES[0]!;
  const failures: readonly (readonly [why: string, Container, status: number, says: RegExp])[] = [
    ["no files", { entries: [], padTo: 1024 }, 5, /holds no files/],
    ["no files, wide", { entries: [], wide: true, padTo: 1024 }, 5, /holds no files/],
    ["a count larger than the entries", { entries: [whole], saysCount: 2n }, 6, /file 2 of 2: .*empty or too long/],
    ["a size that is too small", { entries: [{ ...whole, saysSize: 1n }, whole] }, 6, /file 2 of 2: .*empty or too long/],
    ["a size beyond the disk", { entries: [{ ...whole, saysSize: 0xffffffffn }] }, 4, /"a-1.0.tar.gz": the device ends before/],
    ["a name beyond the disk", { entries: [{ ...whole, saysName: 200n }], padTo: 1 }, 4, /ends before/],
    ["a name of 251 bytes", { entries: [{ name: "n".repeat(251), bytes: "" }] }, 6, /too long/],
    ["a name of 4 GiB and 5 bytes", { entries: [{ ...whole, saysName: 0x1_0000_0005n }], wide: true }, 6, /too long/],
    ["a file of 4 GiB", { entries: [{ ...whole, saysSize: 0x1_0000_0000n }], wide: true }, 9, /"a-1.0.tar.gz": .*4 GiB or larger/],
    ["neighbours with one name", { entries: [whole, whole] }, 8, /file 2 of 2 "a-1.0.tar.gz": the file before has the same name/],
    ...["..", ".", "../outside", "/etc/passwd", "a/b", "a\\b", "a\nb", "\x1b[2J", "del\x7f", "nul\0", ".payload-import.part"].map(
      (name) => [`the name ${JSON.stringify(name)}`, { entries: [{ name, bytes: "x" }] }, 7, /this name is not allowed/] as const,
    ),
  ];
  if (thorough)
    test.each(failures)("refuses %s", (_why, lying, status, says) => {
      expectFailure(
        importing(program, container(lying), (device, to) => ["--once", join(place, "marker"), to, device]),
        status,
        says,
      );
      expect(readdirSync(place).filter((name) => name !== "device" && name !== "to")).toEqual([]);
      if (readdirSync(place).includes("to")) expect(Object.keys(imported()).filter((name) => name !== whole.name)).toEqual([]);
    });

  test("takes the last of equal names that are no neighbours", () => {
    const entries = [whole, ENTRIES[1]!, { ...whole, bytes: "second" }];
    expect(importing(program, container({ entries })).status).toBe(0);
    expect(imported()).toEqual({ "a-1.0.tar.gz": "second", empty: "" });
  });

  test("takes the first device that starts with the magic, and passes over those that cannot be opened or read", () => {
    const other = join(place, "other");
    writeFileSync(other, "LBPAYLD0");
    writeFileSync(join(place, "second"), container({ entries: [{ name: "second", bytes: "" }] }));
    const { status, stdout } = importing(program, container({ entries: ENTRIES }), (device, to) => [
      to,
      join(place, "absent"),
      place, // a folder opens, and every read of it fails
      "/dev/null",
      other,
      device,
      join(place, "second"),
    ]);
    expect(status).toBe(0);
    expect(stdout).toContain(`payload-import: ${join(place, "absent")}: cannot be opened, next\n`);
    expect(stdout).toContain(`payload-import: ${place}: cannot be read, next\n`);
    expect(stdout).toContain(`payload-import: ${join(place, "device")}: a payload of 4 files`);
    expect(imported()).toEqual(contents(ENTRIES));
  });

  test("finds no payload where there is none", () => {
    expectFailure(run(program, [join(place, "to"), "/dev/null", join(place, "absent")]), 2, /no device starts with the magic/);
    expect(readdirSync(place)).toEqual([]);
  });

  test("imports once with a marker, and makes the marker only when all is there", () => {
    const marker = join(place, "marker");
    const words = (device: string, to: string) => ["--once", marker, to, device];
    expectFailure(importing(program, container({ entries: [whole], saysCount: 2n }), words), 6, /./);
    expect(readdirSync(place)).not.toContain("marker");
    expect(importing(program, container({ entries: ENTRIES }), words).status).toBe(0);
    expect(readFileSync(marker, "utf8")).toBe("The payload was imported.\n");
    rmSync(join(place, "to"), { recursive: true });
    const { status, stdout } = importing(program, container({ entries: ENTRIES }), words);
    expect([status, stdout]).toEqual([0, `payload-import: nothing to do, the payload was imported before: ${marker}\n`]);
    expect(readdirSync(place)).not.toContain("to");
  });

  test("says when the marker cannot be made", () => {
    const marker = join(place, "absent", "marker");
    expectFailure(
      importing(program, container({ entries: ENTRIES }), (device, to) => ["--once", marker, to, device]),
      13,
      /cannot make .*absent\/marker/,
    );
  });

  test("says when a file cannot be made, and when a folder stands where it belongs", () => {
    writeFileSync(join(place, "to"), "a file");
    expectFailure(importing(program, container({ entries: ENTRIES })), 10, /cannot make .*\/to\/\.payload-import\.part/);
    rmSync(join(place, "to"));
    mkdirSync(join(place, "to", "empty"), { recursive: true });
    expectFailure(importing(program, container({ entries: ENTRIES })), 12, /file 2 of 4 "empty": cannot give the file its name/);
    expect(readdirSync(join(place, "to"))).toEqual(["a-1.0.tar.gz", "empty"]);
  });

  test("makes files readable for all, whatever the umask is", () => {
    writeFileSync(join(place, "device"), container({ entries: ENTRIES }));
    const { status } = spawnSync("sh", ["-c", 'umask 077; exec "$0" "$1/to" "$1/device"', program, place]);
    expect(status).toBe(0);
    expect(statSync(join(place, "to", "empty")).mode & 0o7777).toBe(0o644);
  });

  test("says when the target is full, and leaves nothing half", () => {
    writeFileSync(join(place, "device"), container({ entries: ENTRIES }));
    // The limit on a file's size behaves as a full disk does: a write that takes a part, then one that takes nothing.
    const script = 'trap "" XFSZ; ulimit -f 16; exec "$0" --once "$1/marker" "$1/to" "$1/device"';
    const { status, stdout, stderr } = spawnSync("sh", ["-c", script, program, place], { encoding: "utf8" });
    expectFailure({ status, stdout, stderr }, 11, /file 3 of 4 "name with spaces.*": cannot write \(is the disk full\?\)/);
    expect(imported()).toEqual(contents(ENTRIES.slice(0, 2)));
    expect(readdirSync(place).sort()).toEqual(["device", "to"]);
  });

  test("completes what a run left that was killed", async () => {
    const device = join(place, "device");
    const bytes = container({ entries: ENTRIES });
    expect(spawnSync("mkfifo", [device]).status).toBe(0);
    const child = spawn(program, [join(place, "to"), device], { stdio: ["ignore", "pipe", "inherit"] });
    // A pipe in the place of a disk: it gives the first file and half of the third, and then nothing, and does not end.
    const feeder = spawn("sh", ["-c", 'exec 3> "$0"; cat >&3; exec sleep 600', device], { stdio: ["pipe", "ignore", "inherit"] });
    feeder.stdin.end(bytes.subarray(0, 20_000));
    for await (const line of createInterface(child.stdout)) if (line.includes("2 of 4")) break;
    while (!readdirSync(join(place, "to")).includes(".payload-import.part")) await new Promise(setImmediate);
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    feeder.kill("SIGKILL");
    await gone;
    expect(readdirSync(join(place, "to")).sort()).toEqual([".payload-import.part", "a-1.0.tar.gz", "empty"]);
    rmSync(device);
    expect(importing(program, bytes).status).toBe(0);
    expect(imported()).toEqual(contents(ENTRIES));
  });

  test.each([[[]], [[""]], [["--once"]], [["--once", "marker"]], [["--help"]], [["d".repeat(1024), "/dev/null"]]])(
    "says how it is used, case %#",
    (words) => {
      expectFailure(run(program, words), 1, /usage: payload-import \[--once MARKER\] DIR \[DEVICE\.\.\.\]|too long/);
    },
  );
});

const oneImporter = importers.find(({ program }) => program !== undefined)?.program;
const loopDevices =
  process.getuid?.() === 0 && spawnSync("losetup", ["--find"]).status === 0 ? "" : "skipped: loop devices are root's, and need losetup";

describe.skipIf(oneImporter === undefined || loopDevices !== "")(`the importer on a block device ${loopDevices}`, () => {
  const ON_DISK: readonly Entry[] = [ENTRIES[0]!, { name: "large", bytes: Buffer.alloc(2 ** 20, "large") }];

  /** The container as a block device, its file cut to `length` after the device was made. */
  function importingDevice(length?: number): Ran {
    const file = join(place, "device");
    writeFileSync(file, container({ entries: ON_DISK }));
    const device = spawnSync("losetup", ["--find", "--show", "--read-only", file], { encoding: "utf8" }).stdout.trim();
    try {
      if (length !== undefined) truncateSync(file, length);
      return run(oneImporter!, ["--once", join(place, "marker"), join(place, "to"), device]);
    } finally {
      spawnSync("losetup", ["--detach", device]);
    }
  }

  test("unpacks what is on it", () => {
    expect(importingDevice()).toMatchObject({ status: 0, stderr: "" });
    expect(imported()).toEqual(contents(ON_DISK));
  });

  test("says at which byte a device cannot be read", () => {
    expectFailure(importingDevice(2 ** 19), 3, /: byte 0x0000000000080000: file 2 of 2 "large": the device cannot be read/);
    expect(imported()).toEqual(contents([ENTRIES[0]!]));
    expect(readdirSync(place)).not.toContain("marker");
  });
});

describe.each(harnesses)("the importer in a world in memory, $name, with sanitizers", ({ program, needs }) => {
  test.skipIf(program === undefined)(`does with random payloads and failing devices what a second reader expects (needs ${needs})`, () => {
    const { status, stdout } = run(program!, ["fuzz", "1", "20000"]);
    expect(status, stdout).toBe(0);
    // Every outcome but wrong usage was met.
    const seen = stdout
      .trim()
      .split("\n")
      .map((line) => line.split(" ").map(Number));
    expect(seen.filter(([, count]) => count! > 0).map(([outcome]) => outcome)).toEqual([0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
  });
  if (program === undefined) return;

  const probed = (disks: string, nodes = "", partitions = ""): readonly string[] =>
    run(program, ["probe", disks, nodes, partitions]).stdout.trim().split("\n");

  const LISTED = "major minor  #blocks  name\n\n";

  test("makes the nodes of the small kernel and takes the second IDE disk first", () => {
    expect(probed("3:0=payload 3:64=payload")).toEqual([
      "open /dev/hdb: no node",
      "mknod /dev/hdb 3:64",
      "open /dev/hdb: payload",
      "found /dev/hdb",
    ]);
  });

  test("tries every disk that it knows, removes the nodes that lead nowhere, and keeps those of disks", () => {
    const lines = probed("22:64=other 8:0=payload");
    expect(lines.filter((line) => line.startsWith("mknod"))).toEqual([
      "mknod /dev/hdb 3:64",
      "mknod /dev/hdc 22:0",
      "mknod /dev/hdd 22:64",
      "mknod /dev/hda 3:0",
      "mknod /dev/sdb 8:16",
      "mknod /dev/sdc 8:32",
      "mknod /dev/sdd 8:48",
      "mknod /dev/sda 8:0",
    ]);
    expect(lines.filter((line) => line.startsWith("unlink"))).toEqual(
      ["hdb", "hdc", "hda", "sdb", "sdc", "sdd"].map((name) => `unlink /dev/${name}`),
    );
    expect(lines.at(-1)).toBe("found /dev/sda");
  });

  test("uses a node that is there as it is, and passes over disks that are empty, short or unreadable", () => {
    const lines = probed("3:64=unreadable 22:0=empty 22:64=short 8:16=payload", "/dev/hdb=3:64 /dev/sdb=8:16");
    expect(lines).not.toContain("mknod /dev/hdb 3:64");
    expect(lines).toContain("payload-import: /dev/hdb: cannot be read, next");
    expect(lines.at(-1)).toBe("found /dev/sdb");
  });

  test("finds disks by the kernel's list, with numbers that no table knows", () => {
    const list = `${LISTED} 254        0    1048576 vda\n 254      16       1024 vdb\n`;
    expect(probed("254:0=other 254:16=payload", "", list).at(-1)).toBe("found /dev/vdb");
    expect(probed("259:0=payload", "", `${LISTED} 259        0  500107608 nvme0n1\n`).at(-1)).toBe("found /dev/nvme0n1");
    expect(probed("254:256=payload", "", `${LISTED} 254      256  1 vdq`).at(-1)).toBe("found nothing"); // the list was cut
    const far = probed("254:256=payload", "", `${LISTED} 254      256  1 vdq\n`);
    expect(far).toContain("mknod /dev/vdq 254:256");
    expect(far.at(-1)).toBe("found /dev/vdq");
  });

  test("does not believe the small kernel's list, in which whole disks have the minor 0", () => {
    const list = `${LISTED}   3     0       1024 hda\n   3     0       1024 hdb\n  22     0       1024 hdd\n`;
    const lines = probed("3:0=other 3:64=other 22:64=payload", "", list);
    expect(lines.at(-1)).toBe("found /dev/hdd");
    expect(lines.filter((line) => line.includes("mknod /dev/hdb"))).toEqual(["mknod /dev/hdb 3:64"]);
    expect(probed("3:0=other", "", list).filter((line) => line.startsWith("open /dev/hda"))).toHaveLength(2); // before and behind mknod
  });

  test.each([
    ["a name with a slash", "104 0 1 cciss/c0d0\n"],
    ["a name that climbs", "104 0 1 ..\n"],
    ["a name that is too long", `104 0 1 ${"n".repeat(32)}\n`],
    ["no name", "104 0 1\n"],
    ["no number", "x 0 1 vda\n"],
    ["a number that no device has", "4096 0 1 vda\n"],
    ["a number that is no number of 32 bits", "4294967400 0 1 vda\n"],
    ["a minor that no device has", "104 1048576 1 vda\n"],
    ["words behind the name", "104 0 1 vda vdb\n"],
  ])("passes over a line with %s", (_why, line) => {
    const lines = probed("104:0=payload 254:0=payload", "", `${LISTED}${line}`);
    expect(lines.at(-1)).toBe("found nothing");
    expect(lines.filter((one) => one.startsWith("mknod") && !/ (3|8|22):/.test(one))).toEqual([]);
    expect(probed("104:0=payload 254:0=payload", "", `${LISTED}${line} 254 0 1 vda\n`).at(-1)).toBe("found /dev/vda");
  });

  test("reads of an endless list what its buffer holds", () => {
    const list = LISTED + "   7        0          1 loop0\n".repeat(1000);
    expect(probed("254:0=payload", "", list).at(-1)).toBe("found nothing");
  });
});

test("the page of the importer and the head of its source name the same statuses", () => {
  const source = readFileSync(IMPORTER_SOURCE, "utf8");
  const head = source.slice(0, source.indexOf("*/"));
  const statuses = [...head.matchAll(/^ \* {5,6}(\d+) {2}/gm)].map(([, status]) => Number(status));
  expect(statuses).toEqual([...Array(14).keys()]);
  const page = readFileSync(new URL("../../docs/payload-import.md", import.meta.url), "utf8");
  expect([...page.matchAll(/^\| (\d+) \|/gm)].map(([, status]) => Number(status))).toEqual(statuses);
  expect([...source.matchAll(/^#define [A-Z_]+ (\d+)$/gm)].map(([, value]) => Number(value)).slice(1, 15)).toEqual(statuses);
});
