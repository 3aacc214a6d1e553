import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { matchesPath } from "../../src/config/overrides.ts";
import { quietJob } from "../../src/contract/job.ts";
import { STICK_ESP } from "../../src/contract/stick.ts";
import { openFileStore } from "../../src/disk/block-store.ts";
import { openExfat } from "../../src/disk/exfat/volume.ts";
import { seededIds } from "../../src/disk/ids.ts";
import { grubWord } from "../../src/formats/escape-grub.ts";
import { nameFault } from "../../src/formats/exfat-entries.ts";
import { decodeKernelCommandLine } from "../../src/formats/kernel-command-line.ts";
import { makeFileAtomic } from "../../src/host/atomic-stream.ts";
import { planNewStick, writeStick } from "../../src/stick/create.ts";
import type { EspFile } from "../../src/stick/esp-files.ts";
import { grubPattern } from "../../src/stick/menu/grub-pattern.ts";
import { stickMenu } from "../../src/stick/menu-maker.ts";
import { openStick } from "../../src/stick/open-stick.ts";
import { guestFiles } from "./disk-guest.ts";
import { bootWords, builtImage, onlySession, run, workplace } from "./harness.ts";

const MIB = 1 << 20;
const GRUB_MODULES = "/usr/lib/grub/x86_64-efi";

/** A run that fails is made again with its seed. */
const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
console.log(`SEED=${SEED}`);

const letter = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(..." '$`{}[]()&;#!~^%,=@+-_.") },
  { weight: 2, arbitrary: fc.constantFrom(..."abcXYZ019") },
  { weight: 1, arbitrary: fc.constantFrom("ä", "ß", "é", "漢", "字", "–", "Ω", "я", "\u00a0", "𝛑") },
);
const name = fc
  .array(letter, { minLength: 1, maxLength: 30 })
  .map((letters) => `${letters.join("")}.iso`)
  .filter((text) => nameFault(text) === undefined && !text.startsWith(".") && !/^\s|\s$/.test(text));

/** Distinct to exFAT, too. */
const names = (count: number): readonly string[] => [
  ...new Map(fc.sample(name, { numRuns: count, seed: SEED }).map((text) => [text.toUpperCase(), text])).values(),
];

/** All that a value on the command line may hold. */
const values = fc.sample(
  fc
    .array(fc.oneof(letter, fc.constantFrom('"', "\\", "|", "<", ">", "*", "?", "/")), { minLength: 1, maxLength: 20 })
    .map((letters) => letters.join("")),
  { numRuns: 24, seed: SEED },
);

const globs = fc.sample(
  fc
    .array(
      fc.oneof(
        { weight: 2, arbitrary: fc.constantFrom("*", "?", "**/", "*./", "/", "[a-z]", "[!a-c]", "[äb]", "[^x]") },
        { weight: 3, arbitrary: letter },
      ),
      {
        minLength: 1,
        maxLength: 8,
      },
    )
    .map((parts) => parts.join("")),
  { numRuns: 60, seed: SEED },
);

it("means to a real GRUB what was meant: names of images, globs, the kernel's words", async () => {
  await using place = await workplace();
  const image = join(place.root, "stick.img");
  const all = names(160);
  // Every other one is on the list that was made with the stick; the others came by a file manager.
  const listed = all.filter((_, index) => index % 2 === 0);
  const paths = all.map((text) => `/ISOs/${text}`);
  const tests = globs.flatMap((glob, at) => {
    const pattern = grubPattern(glob);
    return pattern === undefined ? [] : [0, 7, 31].map((step) => ({ glob, pattern, path: paths[(at + step) % paths.length]! }));
  });
  const words = values.map((value, index) => ({ name: `t${index}`, value }));
  const { kernel } = await guestFiles();
  await makeStick(image, all, listed, kernel, [
    `set prefix="($root)/EFI/debian"`,
    "serial --unit=0 --speed=115200",
    "terminfo -g 4000x25 -u serial vt100",
    "terminal_output serial",
    `source "($root)${STICK_ESP.menu}"`,
    'function hiso_entry { echo "$hiso_from|$1|$2|"; }',
    "set hiso_from=SCANNED",
    "hiso_folder /ISOs hiso_none xxxxxxxx",
    "set hiso_from=LISTED",
    `source "($root)${STICK_ESP.menuPart}"`,
    ...tests.map(
      ({ pattern, path }, index) =>
        `if regexp ${grubWord(pattern)} ${grubWord(path)}; then echo "GLOB ${index} yes|"; else echo "GLOB ${index} no|"; fi`,
    ),
    "echo 'THE END OF THE MENU'",
    `linux "($root)${STICK_ESP.kernel}" console=ttyS0 ${words.map((word) => grubWord(`${word.name}=${word.value}`)).join(" ")} 'last'`,
    "boot",
  ]);
  const booted = await run(
    bootWords(image, place.logs, "--as", "usb", "--firmware", "uefi", "--trace-level", "none", "--until", "text:Command line:"),
  );
  const { serial } = onlySession(place.logs);
  expect(booted.status, booted.stderr).toBe(0);
  const lines = serial
    .replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "")
    .split(/\r?\n|\r/)
    .map((line) => line.trim());
  // Once each: what is on the list is not found again beside it.
  for (const from of ["SCANNED", "LISTED"])
    expect(lines.filter((line) => line.startsWith(`${from}|`)).sort()).toEqual(all.map((text) => `${from}|/ISOs/${text}|${text}|`).sort());
  const answers = tests.filter(({ glob, path }, index) => !lines.includes(`GLOB ${index} ${matchesPath(glob, path) ? "yes" : "no"}|`));
  expect(answers).toEqual([]);
  const [, line] = /Command line: (.*?)\r?\n/.exec(serial)!;
  const decoded = decodeKernelCommandLine(line!);
  expect(decoded.filter(({ name: word }) => /^t\d+$/.test(word))).toEqual(words);
});

async function makeStick(
  path: string,
  all: readonly string[],
  listed: readonly string[],
  kernel: Uint8Array,
  script: readonly string[],
): Promise<void> {
  const file = (to: string, from: Uint8Array | string): EspFile => ({ path: to, from: typeof from === "string" ? { file: from } : from });
  const wish = {
    sizeBytes: 160n * BigInt(MIB),
    sectorBytes: 512 as const,
    ids: seededIds("menu"),
    images: [],
    allowDamaged: false,
    espFiles: [
      file(STICK_ESP.loader, await builtImage("signed-grub.yaml")),
      file("/EFI/debian/x86_64-efi/exfat.mod", join(GRUB_MODULES, "exfat.mod")),
      file(STICK_ESP.kernel, kernel),
    ],
    menu: (diskGuid: string) => [
      ...stickMenu({
        diskGuid,
        images: listed.map((text) => ({ path: `/ISOs/${text}`, sizeBytes: 1n, modifiedMs: 0 })),
        configBytes: undefined,
        goodConfig: undefined,
        theme: [],
      }),
      // In the place of the two lines that lead to the menu.
      file(STICK_ESP.debianMenu, new TextEncoder().encode(script.join("\n"))),
    ],
    config: Buffer.from("{}\n"),
    timeMs: Date.UTC(2026, 10, 21),
    fixedTimes: true,
    version: "1",
  };
  await makeFileAtomic(path, async (handle, temporary) => {
    await handle.truncate(160 * MIB);
    await using store = await openFileStore(temporary);
    await writeStick(store, await planNewStick(wish, quietJob), { isDevice: false }, quietJob);
    const { dataStore } = await openStick(store);
    await using data = await openExfat(dataStore, {}, quietJob);
    for (const text of all)
      await data.write(`/ISOs/${text}`, [Buffer.from(text)], { sizeBytes: BigInt(Buffer.byteLength(text)), modifiedMs: 0 }, quietJob);
  });
}
