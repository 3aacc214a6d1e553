/** A descriptor that leads nowhere is mended, and QEMU boots with what it leads to then. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { bootWords, demoImage, onlySession, run, workplace } from "./harness.ts";

it("a firmware descriptor whose files do not exist is found and mended, and a guest boots by UEFI with it", async () => {
  const image = await demoImage();
  await using place = await workplace();
  // A configuration of the test's own: it counts more than the system's, which is left as it is.
  const folder = join(place.root, "config/qemu/firmware");
  const env = { XDG_CONFIG_HOME: join(place.root, "config") };
  await mkdir(folder, { recursive: true });
  const path = join(folder, "00-mine.json");
  // As one of Gentoo's looks after its package moved its files, with variables of another build beside.
  const gone = { filename: "/usr/share/edk2-ovmf/OVMF_CODE.fd", format: "raw" };
  const broken = {
    description: "UEFI of mine",
    "interface-types": ["uefi"],
    mapping: { device: "flash", executable: gone, "nvram-template": { filename: "/usr/share/edk2-ovmf/OVMF_VARS.fd", format: "raw" } },
    targets: [{ architecture: "x86_64", machines: ["pc-i440fx-*", "pc-q35-*"] }],
    features: ["acpi-s3"],
    tags: [],
  };
  await writeFile(path, JSON.stringify(broken));

  const check = await run(["firmware", "check"], env);
  expect([check.status, check.stdout]).toEqual([1, expect.stringContaining(`its executable does not exist: ${gone.filename}`)]);
  const shown = await run(["firmware", "fix"], env);
  expect([shown.status, shown.stdout]).toEqual([1, expect.stringContaining("Nothing was written")]);
  expect(await readFile(path, "utf8")).toBe(JSON.stringify(broken));
  const fixed = await run(["firmware", "fix", "--yes"], env);
  expect([fixed.status, fixed.stdout]).toEqual([0, expect.stringContaining("All descriptors are sound now.")]);

  const { status, stderr } = await run(bootWords(image, place.logs, "--firmware", "uefi"), env);
  expect(status, stderr).toBe(0);
  const { directory, session } = onlySession(place.logs);
  expect(session).toMatchObject({ result: "success", firmware: "uefi" });
  const { mapping } = JSON.parse(await readFile(path, "utf8"));
  // QEMU was given the mended descriptor's code, and a copy of its variables.
  expect(await readFile(join(directory, "machine.json"), "utf8")).toContain("00-mine.json");
  expect(await readFile(join(directory, "qemu.cmdline"), "utf8")).toContain(mapping.executable.filename);
  expect(mapping.executable.filename).not.toBe(gone.filename);
});
