import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { stickAdoptedSchema, stickUnadoptedSchema } from "../../src/contract/stick-answers.ts";
import { openFileStore } from "../../src/disk/block-store.ts";
import { MIB } from "../disk/disk-images.ts";
import { ventoyStick } from "../stick/adopt/ventoy-fixture.ts";
import { cat, disk } from "./disk-commands.ts";
import { isoBytes, put, runtimeFolder, stick } from "./stick-commands.ts";

const sumOf = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");
const VENTOY_JSON = `{
  "control": [{ "VTOY_MENU_TIMEOUT": "9" }, { "VTOY_WIN11_BYPASS_CHECK": "1" }],
  "menu_alias": [{ "image": "/ISO/a.iso", "alias": "The first\u001b[31m" }],
  "persistence": [{ "image": "/ISO/a.iso", "backend": ["/p/one.dat", "/p/two.dat", "/p/gone.dat"] }]
}`;

describe("stick adopt", () => {
  let folder: string;
  let image: string;
  let runtime: string;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "hiperiso-adopt-"));
    image = join(folder, "ventoy.img");
    runtime = runtimeFolder(join(folder, "runtime"));
    writeFileSync(image, "");
    truncateSync(image, 128 * MIB);
    await using medium = await openFileStore(image);
    const files = { "/ISO/a.iso": isoBytes(MIB, 1), "/ventoy/ventoy.json": VENTOY_JSON, "/p/one.dat": "1", "/p/two.dat": "2" };
    await ventoyStick({ medium, files });
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test("says first what it would do, with what is taken over and what is not, and writes nothing", async () => {
    const before = sumOf(image);
    const { status, stdout, stderr } = await stick(["adopt", image, "--runtime", runtime, "--dry-run"]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/a Ventoy stick, 1 image in its menu/);
    expect(stdout).toMatch(/taken over {2}control, line 2: VTOY_MENU_TIMEOUT: 9\n/);
    expect(stdout).toMatch(/taken over {2}persistence, line 4: \/ISO\/a\.iso \(Ventoy asks: 2 entries .*left out: \/p\/gone\.dat\)/);
    expect(stdout).toMatch(/left out {4}control, line 2: VTOY_WIN11_BYPASS_CHECK: 1 \(hiperiso does not change Windows' installer\)/);
    expect(stdout).toMatch(/Nothing was written\.\n$/);
    expect(sumOf(image)).toBe(before);
    const answer = stickAdoptedSchema.parse(
      JSON.parse((await stick(["adopt", image, "--runtime", runtime, "--dry-run", "--json"])).stdout),
    );
    expect(answer).toMatchObject({ dryRun: true, renewed: false, images: 1, config: { fate: "made" }, adoption: null });
    expect(sumOf(image)).toBe(before);
  });

  test("adds hiperiso, whose commands then work on it, and takes it away again", async () => {
    const before = (await disk("ls", "-R", `${image}:1`)).stdout;
    const boot = (await cat(`${image}:2/grub/grub.cfg`)).bytes;
    const added = await stick(["adopt", image, "--runtime", runtime]);
    expect(added).toMatchObject({ status: 0, stdout: expect.stringMatching(/F6, then "hiperiso"/) });
    expect(added.stdout).not.toContain("\u001b");
    // A name with a control character is none to a hiperiso.json.
    expect(added.stdout).toMatch(/left out {4}menu_alias, line 3/);
    expect((await cat(`${image}:2/grub/grub.cfg`)).bytes.equals(boot)).toBe(true);

    put(folder, { "b.iso": isoBytes(2 * MIB, 2) });
    expect(await stick(["add", image, join(folder, "b.iso"), "--to", "/ISO"])).toMatchObject({
      status: 0,
      stdout: "/ISO/b.iso: 2.0 MiB\n",
    });
    expect((await cat(`${image}:1/hiperiso/runtime/EFI/hiperiso/grub/menu.cfg`)).bytes.toString()).toMatch(
      /'\/ISO\/a\.iso'[\s\S]*'\/ISO\/b\.iso'/,
    );
    const listed = JSON.parse((await stick(["list", image, "--json"])).stdout);
    expect(listed.images.map(({ path }: { path: string }) => path)).toEqual(["/ISO/a.iso", "/ISO/b.iso"]);
    expect(await stick(["verify", image])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/All is well: 1 image, \d+ boot files/),
    });
    await disk("rm", `${image}:1/hiperiso/runtime/EFI/hiperiso/vmlinuz`);
    expect(await stick(["verify", image])).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(/vmlinuz: it is gone\n.*stick adopt/),
    });
    expect(await stick(["adopt", image, "--runtime", runtime])).toMatchObject({ status: 0 });
    expect(await stick(["config", image])).toMatchObject({ status: 0, stdout: expect.stringMatching(/nothing is wrong/) });
    expect(await stick(["pull", image, "--to", join(folder, "home")])).toMatchObject({ status: 0 });
    expect(await stick(["remove", image, "b.iso"])).toMatchObject({ status: 0 });
    expect(await disk("check", image)).toMatchObject({ status: 0 });

    const looked = await stick(["adopt", image, "--remove", "--dry-run"]);
    expect(looked.stdout).toMatch(/would be taken off it\n {2}removed: \/ventoy\/ventoy_grub\.cfg[\s\S]*Nothing was written/);
    const gone = await stick(["adopt", image, "--remove", "--json"]);
    expect(stickUnadoptedSchema.parse(JSON.parse(gone.stdout))).toMatchObject({
      dryRun: false,
      kept: expect.arrayContaining(["/hiperiso/images.json"]),
    });
    expect((await disk("ls", "-R", `${image}:1`)).stdout.split("\n").filter((path) => !path.startsWith("hiperiso"))).toEqual(
      before.split("\n"),
    );
  });

  test.each([
    [["--mode", "bios"], /--mode\s+expected {2}uefi, legacy/],
    [["--remove"], /Nothing was added to it/],
  ])("with %j is refused", async (words, message) => {
    expect(await stick(["adopt", image, "--runtime", runtime, ...words])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(message),
    });
  });

  test("a file that is no stick is told before anything is built", async () => {
    const file = join(folder, "note.txt");
    writeFileSync(file, "hello\n");
    const { status, stderr } = await stick(["adopt", file]);
    expect(status).toBe(2);
    expect(stderr).not.toMatch(/^build /m);
    expect(stderr).toMatch(/^error: /);
  });

  test("a stick of Ventoy alone stays none to the other commands", async () => {
    for (const words of [
      ["list", image],
      ["pull", image],
      ["update", image, "--runtime", runtime],
      ["verify", image],
    ])
      expect(await stick(words)).toMatchObject({ status: 2, stderr: expect.stringMatching(/a Ventoy stick[\s\S]*stick adopt/) });
  });
});
