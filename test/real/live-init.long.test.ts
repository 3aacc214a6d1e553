/** What our own live init makes of a medium, in a guest that tells it. */
import { spawnSync } from "node:child_process";
import { createReadStream } from "node:fs";
import { readFile, stat, truncate, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { bootWords, onlySession, run, workplace } from "./harness.ts";

const PLAN = fileURLToPath(new URL("plans/live-init.yaml", import.meta.url));

async function outputOf(stage: string): Promise<string> {
  const { status, stdout, stderr } = await run(["live", "build", PLAN, "--stage", stage]);
  expect(status, stderr).toBe(0);
  return stdout.trim().split("\n").at(-1)!;
}

let medium: string;
let root: string;
let kernel: readonly string[];
let marker: string;
let rootHash: string;
beforeAll(async () => {
  const folders = { iso: await outputOf("iso"), kernel: await outputOf("kernel"), initramfs: await outputOf("initramfs") };
  medium = join(folders.iso, "live-init.iso");
  root = await outputOf("image");
  kernel = ["--kernel", join(folders.kernel, "vmlinuz"), "--initrd", join(folders.initramfs, "initrd.img")];
  marker = `hiperiso.medium=${JSON.parse(await readFile(join(folders.iso, "contents.json"), "utf8")).marker}`;
  rootHash = JSON.parse(await readFile(join(root, "image.json"), "utf8")).verity.rootHash;
});

/** What the guest said on its serial port, up to its login. */
async function said(image: readonly string[], words: string, ...more: readonly string[]): Promise<string> {
  await using place = await workplace();
  const boot = bootWords(image[0] ?? medium, place.logs, ...kernel, "--append", `console=ttyS0 ${words}`, ...more);
  const { status, stderr } = await run(image.length === 0 ? boot.filter((word) => word !== medium) : boot);
  const { serial } = onlySession(place.logs);
  expect(status, `${stderr}\n${serial.slice(-3000)}`).toBe(0);
  return serial;
}

/** Needs the tools to be there: those that make file systems without a mount. */
function make(program: string, ...args: readonly string[]): void {
  expect(spawnSync(program, args, { encoding: "utf8" }).status, `${program} ${args.join(" ")}`).toBe(0);
}

describe("our own live init", () => {
  it("checks the root image against its hash tree as it is read", async () => {
    const serial = await said([medium], `${marker} hiperiso.verity=${rootHash}`);
    expect(serial).toMatch(/place live\/image: \/dev\/mapper\/live \S+ squashfs ro/);
    expect(serial).toMatch(/root: overlay \/ overlay rw/);
    expect(serial).toContain("write: yes");
  });

  it("does not start a root image that is not what the root hash says, and gives a shell", async () => {
    await using place = await workplace();
    const wrong = rootHash.replace(/^./, (digit) => (digit === "0" ? "1" : "0"));
    const words = bootWords(medium, place.logs, ...kernel, "--append", `console=ttyS0 ${marker} hiperiso.verity=${wrong}`);
    await run([...words, "--until", "text:A shell follows"]);
    const { serial } = onlySession(place.logs);
    expect(serial).toMatch(new RegExp(`live: .*is not what hiperiso\\.verity=${wrong} says`));
    expect(serial).toContain("live: A shell follows.");
    expect(serial).not.toContain("told all");
  });

  it("copies the root image to memory, and lets go of the medium", async () => {
    const serial = await said([medium], `${marker} toram`);
    expect(serial).toContain("live: the medium is no longer needed");
    expect(serial).toMatch(/place medium: *\r?\n/);
    expect(serial).toMatch(/place live\/memory: tmpfs/);
  });

  it("keeps changes in a file system with a label, over a reboot", async () => {
    await using place = await workplace();
    const disk = join(place.root, "persistence.img");
    await writeFile(disk, "");
    await truncate(disk, 64 * 1024 * 1024);
    make("mke2fs", "-q", "-t", "ext4", "-L", "persistence", "-F", disk);
    const boot = () => said([medium], `${marker} persistence`, "--disk", `${disk},keep`);
    expect(await boot()).toMatch(/changes are kept in the file system persistence[\s\S]*boots: *\r?\n/);
    expect(await boot()).toMatch(/boots: x\r?\n/);
  });

  it("is found as a file with a blank in its name on a stick, and keeps changes in another file there", async () => {
    await using place = await workplace();
    const [stick, keeper] = [join(place.root, "stick.img"), join(place.root, "keeper.img")];
    for (const [path, mib] of [
      [stick, 128],
      [keeper, 32],
    ] as const) {
      await writeFile(path, "");
      await truncate(path, mib * 1024 * 1024);
    }
    make("mke2fs", "-q", "-t", "ext4", "-F", keeper);
    make("mkfs.vfat", "-F", "32", stick);
    make("mcopy", "-i", stick, medium, "::/my live.iso");
    make("mcopy", "-i", stick, keeper, "::/keeper.img");
    const words = `${marker} "findiso=/my live.iso" hiperiso.persistence=/keeper.img`;
    const boot = () => said([], words, "--disk", `${stick},keep`);
    const serial = await boot();
    expect(serial).toMatch(/place live\/host: \/dev\/\S+ \S+ vfat rw/);
    expect(serial).toContain("live: changes are kept in /keeper.img");
    expect(await boot()).toMatch(/boots: x\r?\n/);
  });

  it("has no writable layer where none is wanted", async () => {
    const serial = await said([medium], `${marker} hiperiso.overlay=none`);
    expect(serial).toMatch(/root: \S+ \/ squashfs ro/);
    expect(serial).toContain("write: no");
  });

  it("fetches the root image and its hash tree over the network", async () => {
    const server = createServer((request, response) => {
      const path = join(root, new URL(request.url ?? "/", "http://x").pathname);
      stat(path).then(
        ({ size }) => {
          response.writeHead(200, { "content-length": size });
          createReadStream(path).pipe(response);
        },
        () => response.writeHead(404).end(),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const url = `http://10.0.2.2:${(server.address() as AddressInfo).port}/root.squashfs`;
      const serial = await said([], `hiperiso.fetch=${url} hiperiso.verity=${rootHash}`, "--network", "user");
      expect(serial).toContain(`live: fetching ${url}`);
      expect(serial).toMatch(/place live\/image: \/dev\/mapper\/live/);
    } finally {
      server.close();
    }
  });

  it("says what it looked for and where, and gives a shell", async () => {
    await using place = await workplace();
    const words = bootWords(medium, place.logs, ...kernel, "--append", "console=ttyS0 hiperiso.medium=/.disk/another");
    await run([...words, "--until", "text:A shell follows"]);
    const { serial } = onlySession(place.logs);
    expect(serial).toContain("live: no medium with /.disk/another found within 60 seconds");
    expect(serial).toMatch(/live: looked on: .*\/dev\/sr0/);
    expect(serial).toContain("live: A shell follows.");
  });
});
