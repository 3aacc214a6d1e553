import { expect, test } from "vitest";
import { readBootLine } from "../../../src/stick/onboard/boot-line.ts";

test("what the menu said: the image, the settings of this boot, what follows; the first process's own words are no settings", () => {
  const line =
    'BOOT_IMAGE=/EFI/hiperiso/vmlinuz console=tty0 console=ttyS0,115200 hiperiso_stick=6b6a41af-0000-4000-8000-000000000001 hiperiso_guest_ram=1024 "hiperiso_iso=/ISOs/a \\"b\\" \\\\ $c.iso" hiperiso_after=menu\n';
  expect(readBootLine(line)).toEqual({
    image: '/ISOs/a "b" \\ $c.iso',
    settings: { guestRam: 1024 },
    disk: "6b6a41af-0000-4000-8000-000000000001",
    after: "menu",
    isAdopted: false,
    problems: [],
  });
});

test("without an image the person is asked, and after a boot as well", () => {
  expect(readBootLine("quiet hiperiso_runtime=/hiperiso/runtime hiperiso_wait=9")).toEqual({
    image: undefined,
    disk: undefined,
    settings: {},
    after: "ask",
    isAdopted: true,
    problems: [],
  });
});

test("a slip in the menu is told and stops nothing", () => {
  const { settings, after, problems } = readBootLine(
    "hiperiso_guest_ram=much hiperiso_after=explode\x1b hiperiso_colour=red hiperiso_guest_cpus=1",
  );
  expect(settings).toEqual({ guestCpus: 1 });
  expect(after).toBe("ask");
  expect(problems.join("\n")).toMatch(
    /hiperiso_guest_ram[\s\S]*hiperiso_colour[\s\S]*hiperiso_after.*ask, menu, poweroff, next.*explode\\x1b/,
  );
});
