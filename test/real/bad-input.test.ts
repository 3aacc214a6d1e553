import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readdirSync, truncateSync, writeSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { bootWords, demoImage, onlySession, run, type Workplace, workplace } from "./harness.ts";

describe("bad input ends with a clear error, the right status, and nothing left behind", () => {
  let demo = "";
  beforeAll(async () => {
    demo = await demoImage();
  });

  const made: Readonly<Record<string, (place: Workplace) => string | Promise<string>>> = {
    "a missing image": ({ root }) => join(root, "missing.iso"),
    "an empty image": ({ root }) => emptyFile(join(root, "empty.iso")),
    "a directory": ({ root }) => root,
    "an image that nothing can boot": ({ root }) => {
      const path = emptyFile(join(root, "zeros.img"));
      truncateSync(path, 1 << 20);
      return path;
    },
    "a truncated ISO": async ({ root }) => {
      const path = join(root, "cut.iso");
      await copyFile(demo, path);
      truncateSync(path, 5_000_000);
      return path;
    },
  };

  it.each(Object.keys(made))("%s: status 2", async (name) => {
    await using place = await workplace();
    const image = await made[name]!(place);
    const { status, stdout, stderr } = await run(bootWords(image, place.logs));
    expect(status, stderr).toBe(2);
    expect(stderr).toMatch(/^error: cannot /m);
    expect(stderr).toContain(image);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(stdout).toBe("");
    expect(existsSync(place.logs)).toBe(false);
  });

  it.each([
    [["--firmware", "coreboot"], /uefi.*bios/s],
    [["--guest-ram", "lots"], /guest-ram/],
    [["--guest-ram", "900000"], /MB that this computer has/],
    [["--ram", "256", "--guest-ram", "300"], /short form/],
    [["--until", "heaven"], /login/],
    [["--until", "pattern:("], /regular expression/],
    [["--time-limit", "-3"], /time-limit/],
    [["--accel", "kvm", "--fallback"], /fallback/],
    [["--serial", "--json"], /standard output/],
    [["--trace-level", "all"], /standard.*detailed/],
    [["--trace-limit", "much"], /whole MB/],
    [["--persistence", "/x.dat"], /not built yet/],
    [["--config", "/nonexistent/hiperiso.json"], /hiperiso\.json/],
    [["--frimware", "bios"], /firmware/],
  ])("flags %j: status 2", async (flags, says) => {
    await using place = await workplace();
    const words = ["boot", demo, "--log-dir", place.logs, ...flags];
    const { status, stderr } = await run(words);
    expect(status, stderr).toBe(2);
    expect(stderr).toMatch(says);
    expect(existsSync(place.logs)).toBe(false);
  });

  it("an El Torito catalogue that points outside: the ways that it closes are refused, by offset", async () => {
    await using place = await workplace();
    const image = join(place.root, "lying.iso");
    await copyFile(demo, image);
    const { stdout } = await run(["inspect", image, "--json"]);
    const facts = JSON.parse(stdout) as { iso: { elTorito: { number: number }[] } };
    expect(facts.iso.elTorito.length).toBeGreaterThan(1);
    pointCatalogueOutside(image);
    const inspected = await run(["inspect", image, "--json"]);
    const lying = JSON.parse(inspected.stdout) as {
      boots: { uefi: { cd: { can: boolean } } };
      problems: { structure: string; offset: number }[];
    };
    expect(lying.problems.map(({ structure }) => structure)).toContain("El Torito boot record");
    expect(lying.boots.uefi.cd.can).toBe(false);
    const { status, stderr } = await run(bootWords(image, place.logs, "--as", "cd"));
    expect(status, stderr).toBe(2);
    expect(existsSync(place.logs)).toBe(false);
  });

  it("a log directory that is a file: status 3, and the file is as it was", async () => {
    await using place = await workplace();
    emptyFile(place.logs);
    const { status, stderr } = await run(bootWords(demo, place.logs));
    expect(status, stderr).toBe(3);
    expect(stderr).toContain("--log-dir");
  });

  it("a log directory where nothing can be made: status 3", async () => {
    await using place = await workplace();
    const { status, stderr } = await run(bootWords(demo, "/proc/hiperiso-logs"));
    expect(status, stderr).toBe(3);
    expect(stderr).toContain("--log-dir");
    expect(readdirSync(place.root)).toEqual([]);
  });

  it.skipIf(process.getuid?.() === 0)("a read-only log directory, and an image that may not be read", async () => {
    await using place = await workplace();
    mkdirSync(place.logs);
    chmodSync(place.logs, 0o555);
    expect((await run(bootWords(demo, place.logs))).status).toBe(3);
    const image = join(place.root, "secret.iso");
    await copyFile(demo, image);
    chmodSync(image, 0);
    expect((await run(bootWords(image, join(place.root, "logs2")))).status).toBe(2);
  });

  it("a log directory whose name is longer than a socket's address: the monitor's socket is named from inside", async () => {
    await using place = await workplace();
    const logs = join(place.root, "a".repeat(90), "b".repeat(90));
    const { status, stderr } = await run(bootWords(demo, logs, "--until", "bootloader"));
    expect(status, stderr).toBe(0);
    expect(onlySession(logs).session.result).toBe("success");
  });
});

function emptyFile(path: string): string {
  closeSync(openSync(path, "w"));
  return path;
}

/** The boot record stands in sector 17; bytes 71 to 74 are the catalogue's LBA (El Torito 1.0, figure 7). */
function pointCatalogueOutside(image: string): void {
  const file = openSync(image, "r+");
  try {
    writeSync(file, new Uint8Array([0xff, 0xff, 0xff, 0x00]), 0, 4, 17 * 2048 + 71);
  } finally {
    closeSync(file);
  }
}
