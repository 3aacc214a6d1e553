/** Debian's installer, started by kernel and initrd without any image, with a new disk as its target and a second archive behind its initrd. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { encodeCpio } from "../../src/formats/cpio.ts";
import { builtImage, onlySession, run, workplace } from "./harness.ts";

test("Debian's installer by kernel and initrds: it asks a question, and has the answers that we added to it", async () => {
  const kernel = await builtImage("debian-installer.yaml");
  await using place = await workplace();
  // The installer answers from a file of this name at the root of its initrd.
  const preseed =
    "d-i debian-installer/language string en\nd-i debian-installer/country string NZ\nd-i debian-installer/locale string en_NZ.UTF-8\n";
  const added = join(place.root, "added, by us.cpio");
  writeFileSync(added, encodeCpio([{ kind: "file", path: "preseed.cfg", mode: 0o644, content: Buffer.from(preseed) }], { mtimeS: 0 }));
  const { status, stderr } = await run([
    "boot",
    ...["--kernel", kernel, "--initrd", join(dirname(kernel), "initrd.gz"), "--initrd", added],
    ...["--append", "console=ttyS0 DEBIAN_FRONTEND=text priority=high"],
    ...["--disk", "2G,bus=virtio", "--disk", "64M,bus=nvme"],
    ...["--until", "text:Keymap to use", "--ram", "1024", "--log-dir", place.logs],
  ]);
  expect(status, stderr).toBe(0);
  const { serial, session, directory, ending } = onlySession(place.logs);
  expect(ending).toMatchObject({ goal_reached: true });
  expect(session.iso_basename).toBe("linux");
  expect(serial).toContain("console=ttyS0 DEBIAN_FRONTEND=text");
  const plan = JSON.parse(readFileSync(join(directory, "machine.json"), "utf8")) as { kernel: { initrds: string[] }; image: null };
  expect(plan).toMatchObject({ image: null, kernel: { initrds: [expect.stringContaining("initrd.gz"), added] } });
  for (const name of ["disk0.qcow2", "disk1.qcow2"]) {
    expect(execFileSync("qemu-img", ["check", join(directory, name)], { encoding: "utf8" })).toContain("No errors");
  }
});
