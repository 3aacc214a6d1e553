import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { checkDrives, type DiskToAttach, planDrive } from "../../src/machine/drives.ts";
import { type BootRequest, type ImageToBoot, planMachine } from "../../src/machine/plan.ts";
import { namedDrives, overlayPath, qemuArguments } from "../../src/machine/qemu-arguments.ts";
import { host, image, PLACES, request } from "./requests.ts";

const disk = (changes: Partial<DiskToAttach> = {}): DiskToAttach => ({
  path: "/d/a.img",
  blockDevice: false,
  format: "raw",
  backing: [],
  sizeBytes: 1n << 30n,
  bus: "sata",
  writable: false,
  isNew: false,
  because: "--disk",
  ...changes,
});

const words = (asked: BootRequest, shown?: ImageToBoot): readonly string[] => qemuArguments(planMachine(asked, shown, host()), PLACES);
const drivesOf = (args: readonly string[]): string[] =>
  args.filter(
    (word, index) => ["-drive", "-device"].includes(args[index - 1] ?? "") && /drive=|id=(disk|image)|nvme|sdhci|xhci/.test(word),
  );

function refusal(act: () => unknown): HiperisoError {
  try {
    act();
  } catch (error) {
    if (error instanceof HiperisoError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("disks beside an image", () => {
  test("stand behind it on their buses, and in the order in which the firmware tries them", () => {
    const disks = (["sata", "virtio", "nvme", "nvme", "sd", "usb"] as const).map((bus, index) => disk({ path: `/d/${index}`, bus }));
    expect(drivesOf(words(request({ disks }), image("uc")))).toEqual([
      "if=none,id=image,media=cdrom,readonly=on,format=raw,file.driver=file,file.filename=/isos/demo.iso",
      "ide-cd,bus=ide.0,drive=image,bootindex=1",
      "if=none,id=disk0,snapshot=on,format=raw,file.driver=file,file.filename=/d/0",
      "ide-hd,bus=ide.1,drive=disk0,bootindex=2",
      "if=none,id=disk1,snapshot=on,format=raw,file.driver=file,file.filename=/d/1",
      "virtio-blk-pci,drive=disk1,bootindex=3",
      "if=none,id=disk2,snapshot=on,format=raw,file.driver=file,file.filename=/d/2",
      "nvme,serial=hiperiso0,drive=disk2,bootindex=4",
      "if=none,id=disk3,snapshot=on,format=raw,file.driver=file,file.filename=/d/3",
      "nvme,serial=hiperiso1,drive=disk3,bootindex=5",
      "if=none,id=disk4,snapshot=on,format=raw,file.driver=file,file.filename=/d/4",
      "sdhci-pci,id=sdhci0",
      "sd-card,drive=disk4",
      "if=none,id=disk5,snapshot=on,format=raw,file.driver=file,file.filename=/d/5",
      "qemu-xhci,id=xhci",
      "usb-storage,bus=xhci.0,removable=on,drive=disk5,bootindex=7",
    ]);
  });

  test("an image on a card is in no order: then nothing else is, which would be tried before it", () => {
    const args = words(request({ attach: "sd", disks: [disk()] }), image("bu"));
    expect(args.join(" ")).not.toContain("bootindex");
  });

  test.each(["virtio", "sata", "nvme", "sd"] as const)("an image as a disk on %s boots where one boots from a stick", (attach) => {
    expect(planMachine(request({ attach }), image("bu"), host())).toMatchObject({
      image: { attach, because: `--as ${attach}` },
      firmware: { interface: "bios" },
    });
    expect(refusal(() => planMachine(request({ attach }), image("uc bc"), host()))).toMatchObject({
      kind: "usage",
      found: expect.stringContaining(`BIOS from ${attach}`),
    });
  });

  test("an image on a card is booted by BIOS: UEFI has no driver for one, and says so", () => {
    expect(planMachine(request({ attach: "sd" }), image("uu bu"), host()).firmware.interface).toBe("bios");
    expect(refusal(() => planMachine(request({ attach: "sd" }), image("uu"), host())).found).toBe("BIOS from sd: seen: bu");
    const asked = planMachine(request({ attach: "sd", settings: { firmware: "uefi" } }), image("uu bu"), host());
    expect(asked.warnings.join()).toContain("SD cards");
  });

  test("every file of a chain is named, and nothing of it can add an option", () => {
    const backing = [
      { path: "/d/mid,dle.qcow2", blockDevice: false, format: "qcow2" as const },
      { path: "/dev/vg/base", blockDevice: true, format: "raw" as const },
    ];
    const args = words(request({ disks: [disk({ path: "/d/top", format: "qcow2", backing })] }), image("uc"));
    expect(args).toContain(
      "if=none,id=disk0,snapshot=on,format=qcow2,file.driver=file,file.filename=/d/top" +
        ",backing.driver=qcow2,backing.file.driver=file,backing.file.filename=/d/mid,,dle.qcow2" +
        ",backing.backing.driver=raw,backing.backing.file.driver=host_device,backing.backing.file.filename=/dev/vg/base",
    );
    expect(refusal(() => planDrive(disk({ backing: [{ path: "/a\nb", blockDevice: false, format: "raw" }] }), null)).kind).toBe("usage");
  });

  test("vhd is QEMU's vpc", () => {
    expect(words(request({ disks: [disk({ format: "vhd" })] }), image("uc")).join(" ")).toContain("format=vpc");
  });
});

describe("an SD card", () => {
  test.each([
    [1n << 30n, null],
    [(1n << 30n) + 512n, 2 ** 31],
    [3n << 20n, 4 << 20],
    [512n, null],
  ])("of %d bytes has an overlay of a power of two where it needs one", (sizeBytes, overlayBytes) => {
    const drive = planDrive(disk({ bus: "sd", sizeBytes }), 5);
    expect(drive).toMatchObject({ overlayBytes, bootIndex: null });
  });

  test("is written to the private overlay, the image below it", () => {
    const args = words(request({ disks: [disk({ bus: "sd", sizeBytes: 3n << 20n, format: "qcow2" })] }), image("uc"));
    const overlay = overlayPath(PLACES, "disk0");
    expect(args).toContain(
      `if=none,id=disk0,snapshot=off,format=qcow2,file.driver=file,file.filename=${overlay},backing.driver=qcow2,backing.file.driver=file,backing.file.filename=/d/a.img`,
    );
  });

  test("that is to be written has to have such a size by itself", () => {
    expect(refusal(() => planDrive(disk({ bus: "sd", sizeBytes: 3n << 20n, writable: true }), null))).toMatchObject({
      kind: "usage",
      hint: expect.stringContaining("4194304"),
    });
  });
});

describe("refused", () => {
  test.each([
    ["sata", 7],
    ["usb", 5],
    ["nvme", 9],
    ["sd", 5],
    ["virtio", 17],
  ] as const)("more disks than %s takes", (bus, count) => {
    const drives = Array.from({ length: count }, (_, index) => planDrive(disk({ bus, path: `/d/${index}` }), null));
    expect(refusal(() => checkDrives(drives))).toMatchObject({ kind: "usage", found: `${count}` });
    checkDrives(drives.slice(1));
  });

  test("a CD takes a place of SATA", () => {
    const disks = Array.from({ length: 6 }, (_, index) => disk({ path: `/d/${index}` }));
    expect(refusal(() => planMachine(request({ disks }), image("uc"), host())).expected).toBe("at most 6 disks on sata");
  });

  test("a file twice where it is written, also below another", () => {
    const twice = (one: Partial<DiskToAttach>, other: Partial<DiskToAttach>) => () =>
      checkDrives([one, other].map((made) => planDrive(disk(made), null)));
    expect(refusal(twice({ writable: true }, {})).found).toContain("/d/a.img");
    const above = { path: "/d/top", backing: [{ path: "/d/a.img", blockDevice: false, format: "raw" as const }] };
    expect(refusal(twice(above, { writable: true })).kind).toBe("usage");
    twice({}, {})(); // two that are only read
    twice({ writable: true }, { path: "/d/b.img" })();
  });
});

describe("a kernel", () => {
  const kernel = { path: "/k/vmlinuz", initrds: ["/k/a", "/k/b"], append: "console=ttyS0" };

  test("needs no image; its firmware is the quickest unless another is asked for", () => {
    const plan = planMachine(request({ kernel, disks: [disk()] }), undefined, host());
    expect(plan).toMatchObject({ image: null, firmware: { interface: "bios" }, kernel: { path: "/k/vmlinuz" } });
    expect(namedDrives(plan).map(({ id }) => id)).toEqual(["disk0"]);
    expect(planMachine(request({ kernel, settings: { firmware: "uefi" } }), undefined, host()).firmware.interface).toBe("uefi");
  });

  test("is started with the image attached, whether that could boot or not", () => {
    const plan = planMachine(request({ kernel }), image(""), host());
    expect(plan).toMatchObject({ image: { attach: "cd" }, kernel: { append: "console=ttyS0" }, warnings: [] });
    expect(planMachine(request({ kernel, writable: true }), image(""), host())).toMatchObject({ image: { attach: "usb", writable: true } });
    expect(planMachine(request({ kernel, attach: "nvme" }), image("", { optical: false }), host()).image?.attach).toBe("nvme");
    expect(refusal(() => planMachine(request({ kernel, writable: true, attach: "cd" }), image(""), host())).kind).toBe("usage");
  });

  test("whose command line is too long is refused", () => {
    expect(refusal(() => planMachine(request({ kernel: { ...kernel, append: "x".repeat(2048) } }), undefined, host())).found).toBe("2048");
  });
});
