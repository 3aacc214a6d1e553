/** What else a stick goes through: each a boot of the stick in QEMU, driven on its serial line. */
import { copyFile, mkdir, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { stickPulledSchema, stickVerifiedSchema } from "../../src/contract/stick-answers.ts";
import { onlySession, readRecorded, run, sessionDirectories, start, workplace } from "./harness.ts";
import { built, demoWith, LOG_IN } from "./live-medium-spec.ts";
import { expectSessionFiles } from "./session-files.ts";
import { DEMO, done, entry, MENU, makeStick, OVER, RECORDING, runtimeWords, type Step, stickBoot } from "./stick-guest.ts";

const MIB = 1 << 20;
/** Of the picker: whatever was on the screen, the computer is turned off. */
const CTRL_C = "\u0003";
const F10 = "\u001b[21~";

const pulledOf = async (image: string, ...words: readonly string[]) =>
  stickPulledSchema.parse(JSON.parse(await done(["stick", "pull", image, "--json", ...words])));

/** Boots the stick; all steps have to pass. Its own session. */
async function driven(image: string, place: { readonly root: string; readonly logs: string }, steps: readonly Step[]) {
  const { status, stderr } = await run(await stickBoot(image, { folder: place.root, logs: place.logs, steps }));
  expect(status, stderr).toBe(0);
  const outside = onlySession(place.logs);
  expectSessionFiles(outside.directory);
  return outside;
}

/** The demo with a kernel that reads exFAT, which it needs where it is started without QEMU. */
async function exfatDemo(folder: string): Promise<string> {
  const stages = `  exfat-kernel:
    kind: kernel
    inputs: { package: kernel-package }
    modules: [sd_mod, usb-storage, uas, xhci-pci, ehci-pci, exfat, vfat, nls_cp437, nls_ascii, nls_utf8, nls_iso8859-1, isofs, squashfs, loop,
      overlay, button, evdev]
  exfat-initramfs:
    kind: initramfs
    inputs: { busybox: busybox, kernel: exfat-kernel }
    modules: all
  medium:
    kind: iso
    inputs: { root: image, kernel: exfat-kernel, initramfs: exfat-initramfs, payloads: loaders }
    file: demo.iso
    volume_id: DEMO
    title: demo
    entries: [live]
    kernel_arguments: [console=tty0, "console=ttyS0,115200"]
`;
  return await built(await demoWith(folder, { stage: "medium", file: "demo.iso" }, stages));
}

describe("a stick", () => {
  it("whose hiperiso.json was broken by hand says so in one line of its menu, and the last good one holds", async () => {
    await using place = await workplace();
    const alias = "the last good name";
    const config = { control: { timeout: 3600, default_image: DEMO }, menu_alias: [{ iso: DEMO, alias }] };
    const image = await makeStick(place.root, { config });
    const broken = join(place.root, "broken.json");
    await writeFile(broken, '{ "control": { "timeout": 5, } // a comma and a comment are fine\n "menu_alias": ]');
    await done(["disk", "cp", "--force", broken, `${image}:1/hiperiso/hiperiso.json`]);
    await driven(image, place, [
      { expect: alias, within: 1500 },
      ...MENU,
      { send: "p" },
      { expect: "pick an image", within: 1500 },
      { send: F10 },
      { expect: "back to the boot menu", within: 600 },
      { reboot: "", within: 1500 },
      { expect: { pattern: "hiperiso\\.json, line \\d+, column \\d+: .*what stood there before holds" }, within: 1500 },
      { expect: alias, within: 1500 },
      { screenshot: "broken" },
    ]);
    const check = await run(["stick", "verify", image, "--json"]);
    expect(stickVerifiedSchema.parse(JSON.parse(check.stdout)).problems).toMatchObject([{ id: "config" }]);
  });

  it("that becomes full ends the session in order, and keeps room for its last files", async () => {
    await using place = await workplace();
    const config = {
      control: { timeout: 3600, default_image: DEMO },
      iso_overrides: { "*": { ram: 384, cpus: 1, firmware: "bios", trace_level: "full" } },
    };
    const image = await makeStick(place.root, { config });
    const { freeBytes } = JSON.parse(await done(["stick", "list", image, "--json"]));
    const filler = join(place.root, "filler");
    await writeFile(filler, "");
    await truncate(filler, Number(freeBytes) - 40 * MIB);
    await done(["disk", "cp", filler, `${image}:1/filler`]);
    await driven(image, place, [...MENU, ...entry("m"), ...RECORDING, ...OVER]);
    const home = join(place.root, "home");
    expect(await pulledOf(image, "--to", home)).toMatchObject({ sessions: [{ state: "complete", result: "incomplete" }] });
    const [directory] = sessionDirectories(home);
    expectSessionFiles(directory!);
    expect(readRecorded(directory!).ending).toMatchObject({ reason: "no_room", detail: expect.stringContaining("MiB are free") });
    expect((await run(["stick", "verify", image])).stdout).toContain("All is well");
  });

  it("asks which image, and boots the one that is searched for and chosen by keys", async () => {
    await using place = await workplace();
    const config = { control: { timeout: 3600 }, iso_overrides: { "*": { ram: 384, cpus: 1, firmware: "bios", fallback: true } } };
    const image = await makeStick(place.root, { config });
    await driven(image, place, [
      ...MENU,
      { send: "p" },
      { expect: "pick an image", within: 1500 },
      { screenshot: "picker" },
      { send: "$demo" },
      { expect: "1 of 4", within: 600 },
      { expect: "boots by", within: 900 },
      { send: "\r" },
      ...RECORDING,
      ...OVER,
    ]);
    expect(await pulledOf(image, "--list")).toMatchObject({ sessions: [{ state: "complete", result: "success", imagePath: DEMO }] });
  });

  it("starts the image's own kernel: from its menu, and by kexec where there is no KVM, which its session says", async () => {
    await using place = await workplace();
    const isos = join(place.root, "isos");
    await mkdir(isos);
    await copyFile(await exfatDemo(place.root), join(isos, "demo.iso"));
    const config = join(place.root, "hiperiso.json");
    await writeFile(config, JSON.stringify({ control: { timeout: 3600 } }));
    const image = join(place.root, "stick.img");
    await done(["stick", "create", image, "--iso", isos, "--config", config, ...runtimeWords()]);
    const logIn = LOG_IN.map((step) => ({ ...step, ...("expect" in step && { within: 1500 }) }));
    await driven(image, place, [
      ...MENU,
      ...entry("d"),
      // The image's own menu, made for this.
      { expect: "demo", within: 600 },
      { send: "\r" },
      ...logIn,
      { run: "cat /proc/cmdline", output: "iso-scan/filename=/ISOs/demo.iso" },
      { reboot: "reboot", within: 600 },
      ...MENU,
      ...entry("r"),
      ...logIn,
      { run: "cat /proc/cmdline", output: "iso-scan/filename=/ISOs/demo.iso" },
      { shutdown: "poweroff", within: 600 },
    ]);
    const home = join(place.root, "home");
    const { sessions } = await pulledOf(image, "--to", home);
    expect(sessions).toMatchObject([{ state: "complete", result: "incomplete", imagePath: "/ISOs/demo.iso" }]);
    const [directory] = sessionDirectories(home);
    expectSessionFiles(directory!);
    const { session, ending } = readRecorded(directory!);
    expect(session).toMatchObject({ kvm: "unavailable", qemu_exit_code: null });
    expect(ending).toMatchObject({ reason: "handed_over" });
  });

  it("whose update was cut off starts no computer or the old way, is mended by doing it again, and boots then", async () => {
    await using place = await workplace();
    const image = await makeStick(place.root);
    const update = ["stick", "update", image, ...runtimeWords()];
    const cut = start(update);
    await cut.lineMatching(/write the boot partition/);
    cut.child.kill("SIGKILL");
    await cut.finished;
    await done(update);
    expect((await run(["stick", "verify", image])).stdout).toContain("All is well: 4 images");
    await driven(image, place, [...MENU, { send: "p" }, { expect: "pick an image", within: 1500 }, { shutdown: CTRL_C, within: 600 }]);
  });
});
