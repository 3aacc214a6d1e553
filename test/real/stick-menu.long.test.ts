/** The menu of a stick, driven by keys on the serial line; in the recorder's place stands a kernel that prints what the menu told it. */
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { encodeCpio } from "../../src/formats/cpio.ts";
import { decodeKernelCommandLine } from "../../src/formats/kernel-command-line.ts";
import { guestFiles } from "./disk-guest.ts";
import { builtImage, onlySession, run, workplace } from "./harness.ts";
import { done } from "./stick-guest.ts";

const GRUB = "/usr/lib/grub";

type Step = Readonly<Record<string, unknown>>;
const SLOW_S = 600;
const sees = (expect: string): Step => ({ expect, within: SLOW_S });
const types = (send: string): Step => ({ send });
const DOWN = "\x1b[B";

const INIT = `#!/bin/sh
mount -t proc proc /proc
echo "THE LINE: $(cat /proc/cmdline)"
echo "THE END"
poweroff -f
`;

/** A runtime that is none: the loaders are the real ones. */
async function runtime(folder: string): Promise<string> {
  const { kernel, initrd } = await guestFiles();
  const own = gzipSync(encodeCpio([{ kind: "file", path: "init", mode: 0o755, content: Buffer.from(INIT) }], { mtimeS: 0 }));
  const files: readonly (readonly [path: string, from: string | Uint8Array])[] = [
    ["EFI/BOOT/BOOTX64.EFI", await builtImage("signed-shim.yaml")],
    ["EFI/BOOT/grubx64.efi", await builtImage("signed-grub.yaml")],
    ["EFI/debian/x86_64-efi/exfat.mod", `${GRUB}/x86_64-efi/exfat.mod`],
    ["EFI/hiperiso/vmlinuz", kernel],
    // The second archive's init stands in the place of the first's.
    ["EFI/hiperiso/initramfs.cpio.gz", Buffer.concat([initrd, own])],
  ];
  for (const [path, from] of files) {
    const to = join(folder, path);
    await mkdir(join(to, ".."), { recursive: true });
    if (typeof from === "string") await copyFile(from, to);
    else await writeFile(to, from);
  }
  return folder;
}

const NAMES = ["-rf $(reboot) [1].iso", "it's {a} & b.iso"] as const;

async function makeStick(root: string, config: unknown): Promise<string> {
  const memtest = await builtImage("memtest.yaml");
  const isos = join(root, "isos");
  await mkdir(isos);
  for (const name of NAMES) await copyFile(memtest, join(isos, name));
  const configFile = join(root, "hiperiso.json");
  await writeFile(configFile, JSON.stringify(config));
  const image = join(root, "stick.img");
  await done([
    "stick",
    "create",
    image,
    "--iso",
    isos,
    "--config",
    configFile,
    "--runtime",
    await runtime(join(root, "runtime")),
    "--no-verify",
  ]);
  return image;
}

async function booted(image: string, root: string, steps: readonly Step[], more: readonly string[] = []): Promise<string> {
  const script = join(root, "script.yaml");
  await writeFile(script, JSON.stringify({ steps }));
  const logs = join(root, "logs");
  const machine = ["--firmware", "uefi", "--as", "usb", "--ram", "512", "--trace-level", "none", "--script", script, "--log-dir", logs];
  const { status, stderr } = await run(["boot", image, ...machine, ...more]);
  expect(status, stderr).toBe(0);
  return onlySession(logs).serial;
}

const settingsIn = (serial: string) =>
  Object.fromEntries(
    decodeKernelCommandLine(/THE LINE: (.*?)\r?\n/.exec(serial)![1]!)
      .filter(({ name }) => /^hiperiso_(?!stick)/.test(name))
      .map(({ name, value }) => [name, value]),
  );

it("asks for a password, hands over what was changed for this boot, and nothing else, with what the configuration offers", async () => {
  await using place = await workplace();
  const entries = [{ name: "-its \"own\" 'entry'", settings: { persistence: '/per sist/a\'b "c" $d.dat', ram: 777 } }];
  const control = { timeout: 3600, default_image: `/ISOs/${NAMES[0]}`, image_passwords: [{ iso: "-rf*", password: "it's" }] };
  const image = await makeStick(place.root, { control, choices: [{ iso: "-rf*", entries }], menu_tip: [{ iso: "-rf*", tip: "-a tip" }] });
  const serial = await booted(image, place.root, [
    sees("Pick on the computer"),
    types("\r"),
    sees("Enter username:"),
    types("image\r"),
    sees("Enter password:"),
    types("wrong\r"),
    sees("Pick on the computer"),
    types("\r"),
    sees("Enter username:"),
    types("image\r"),
    sees("Enter password:"),
    types("it's\r"),
    sees("Boot recorded, emulated"),
    types("s"),
    sees("Memory, MB: as configured"),
    types(`${DOWN}${DOWN}`),
    types("\r"),
    sees("16384"),
    types(`${DOWN}\r`),
    sees("Memory, MB: 512"),
    // Esc would ask for the password of one who may do everything.
    types("b"),
    sees("More ..."),
    types("\r"),
    sees("Boot recorded, emulated"),
    types("s"),
    sees("Memory, MB: as configured"),
    types(DOWN),
    types("\r"),
    sees("detailed"),
    types(`${DOWN}${DOWN}${DOWN}${DOWN}\r`),
    sees("Trace level: full"),
    types("r"),
    sees("THE END"),
  ]);
  expect(serial).toContain("[password of image]");
  expect(settingsIn(serial)).toEqual({ hiperiso_trace_level: "full", hiperiso_iso: `/ISOs/${NAMES[0]}` });
});

it("offers the configuration's own entries under Secure Boot", async () => {
  await using place = await workplace();
  const entries = [{ name: "-its \"own\" 'entry'", settings: { persistence: '/per sist/a\'b "c" $d.dat', ram: 777 } }];
  const control = { timeout: 3600, default_image: `/ISOs/${NAMES[1]}` };
  const image = await makeStick(place.root, { control, choices: [{ iso: "*", entries }] });
  const serial = await booted(
    image,
    place.root,
    [sees("Pick on the computer"), types("\r"), sees("Change settings"), types(`${DOWN}${DOWN}\r`), sees("THE END")],
    ["--secure-boot"],
  );
  expect(serial).not.toContain("prohibited by secure boot policy");
  expect(settingsIn(serial)).toEqual({
    hiperiso_guest_ram: "777",
    hiperiso_persistence: '/per sist/a\'b "c" $d.dat',
    hiperiso_iso: `/ISOs/${NAMES[1]}`,
  });
});

it("of which the part about the images is cut off looks for them itself, and boots them", async () => {
  await using place = await workplace();
  const image = await makeStick(place.root, { control: { timeout: 3600 } });
  const cut = join(place.root, "menu.cfg");
  await writeFile(cut, (await done(["disk", "cat", `${image}:2/EFI/hiperiso/grub/menu.cfg`])).slice(0, -40));
  await done(["disk", "cp", "--force", cut, `${image}:2/EFI/hiperiso/grub/menu.cfg`]);
  const serial = await booted(image, place.root, [
    sees("The list of images is damaged"),
    sees("Pick on the computer"),
    types("p"),
    sees("THE END"),
  ]);
  expect(serial).toContain(NAMES[1]);
  expect(settingsIn(serial)).toEqual({});
});
