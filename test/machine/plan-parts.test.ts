import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import type { Bus } from "../../src/machine/drives.ts";
import { type Disk, type MachineParts, planParts, standardParts } from "../../src/machine/plan-parts.ts";
import { qemuArguments } from "../../src/machine/qemu-arguments.ts";
import { host, OVMF, PLACES } from "./requests.ts";

const parts = (changes: Partial<MachineParts>): MachineParts => ({ ...standardParts, ...changes });
const disks = (...buses: readonly Bus[]): readonly Disk[] =>
  buses.map((bus, index) => ({ path: `/d/${index}`, bus, writable: index === 1 }));
const argumentsOf = (changes: Partial<MachineParts>) => qemuArguments(planParts(parts(changes), host()), PLACES);
/** The arguments of disks and their controllers. */
const diskArguments = (changes: Partial<MachineParts>) =>
  argumentsOf(changes).filter((word) => /^if=none|drive=|xhci|ahci|^virtio-blk/.test(word));

function refusal(changes: Partial<MachineParts>): HiperisoError {
  try {
    planParts(parts(changes), host());
  } catch (error) {
    if (error instanceof HiperisoError) return error;
    throw error;
  }
  throw new Error("it was planned");
}

describe("disks", () => {
  const file = (index: number, id: string) =>
    `if=none,id=${id},snapshot=${index === 1 ? "off" : "on"},format=raw,file.driver=file,file.filename=/d/${index}`;

  test("the firmware boots the first; the others stand on their buses in order, with what these need", () => {
    expect(diskArguments({ disks: disks("ide", "ide", "ide", "ide") })).toEqual([
      ...[file(0, "image"), "ide-hd,bus=ide.0,unit=0,drive=image,bootindex=1"],
      ...[file(1, "disk0"), "ide-hd,bus=ide.0,unit=1,drive=disk0"],
      ...[file(2, "disk1"), "ide-hd,bus=ide.1,unit=0,drive=disk1"],
      ...[file(3, "disk2"), "ide-hd,bus=ide.1,unit=1,drive=disk2"],
    ]);
    expect(diskArguments({ disks: disks("sata", "usb", "virtio", "usb", "sata") })).toEqual([
      ...[file(0, "image"), "ide-hd,bus=ide.0,drive=image,bootindex=1"],
      ...[file(1, "disk0"), "qemu-xhci,id=xhci", "usb-storage,bus=xhci.0,removable=on,drive=disk0"],
      ...[file(2, "disk1"), "virtio-blk-pci,drive=disk1"],
      ...[file(3, "disk2"), "usb-storage,bus=xhci.0,removable=on,drive=disk2"],
      ...[file(4, "disk3"), "ide-hd,bus=ide.1,drive=disk3"],
    ]);
    expect(diskArguments({ disks: disks("ide", "sata", "sata") })).toEqual([
      ...[file(0, "image"), "ide-hd,bus=ide.0,unit=0,drive=image,bootindex=1"],
      ...[file(1, "disk0"), "ich9-ahci,id=sata", "ide-hd,bus=sata.0,drive=disk0"],
      ...[file(2, "disk1"), "ide-hd,bus=sata.1,drive=disk1"],
    ]);
  });

  test("a block device is opened as one", () => {
    const given = [{ path: "/dev/sdz", bus: "ide" as const, writable: true, blockDevice: true }];
    expect(diskArguments({ disks: given })[0]).toContain("file.driver=host_device,file.filename=/dev/sdz");
  });

  test("the machine is the one that has the buses", () => {
    expect(planParts(parts({ disks: disks("ide") }), host()).machine.type).toBe("pc");
    expect(planParts(parts({ disks: disks("virtio") }), host()).machine.type).toBe("q35");
    expect(planParts(parts({ disks: disks("virtio"), machine: "pc" }), host()).machine.type).toBe("pc");
    expect(refusal({ disks: disks("ide"), machine: "q35" })).toMatchObject({ kind: "usage", found: "q35" });
  });

  test.each([
    ["ide", 4],
    ["sata", 6],
    ["usb", 4],
    ["virtio", 16],
  ] as const)("on %s %i at most", (bus, max) => {
    const many = (count: number) => disks(...Array.from({ length: count }, () => bus));
    expect(planParts(parts({ disks: many(max) }), host()).drives).toHaveLength(max - 1);
    expect(refusal({ disks: many(max + 1) })).toMatchObject({ kind: "usage", found: `${max + 1}` });
  });

  test("what the guest may write is said", () => {
    const { warnings, image, drives } = planParts(parts({ disks: disks("ide", "ide") }), host());
    expect(warnings).toEqual(["The guest may write to /d/1."]);
    expect([image, ...drives].map((drive) => drive?.writable)).toEqual([false, true]);
  });
});

describe("a kernel", () => {
  const kernel = { path: "/k/vm,linuz", initrds: ["/k/init,rd"], append: "console=ttyS0 a=b,c" };

  test("is started directly; no disk is booted then", () => {
    const args = argumentsOf({ kernel, disks: disks("virtio") });
    const at = args.indexOf("-kernel");
    expect(args.slice(at, at + 6)).toEqual(["-kernel", "/k/vm,linuz", "-initrd", "/k/init,rd", "-append", "console=ttyS0 a=b,c"]);
    expect(args.join(" ")).not.toContain("bootindex");
    expect(args).toContain("virtio-blk-pci,drive=disk0");
    expect(planParts(parts({ kernel }), host()).image).toBeNull();
  });

  test("of several initrds QEMU is given the file that the recorder joins them in", () => {
    const args = argumentsOf({ kernel: { ...kernel, initrds: ["/k/ucode", "/k/init,rd"] } });
    expect(args[args.indexOf("-initrd") + 1]).toBe(PLACES.joinedInitrds);
    expect(planParts(parts({ kernel: { ...kernel, initrds: ["/a", "/b"] } }), host()).kernel?.initrds).toEqual(["/a", "/b"]);
  });

  test("without initrd and command line has neither argument", () => {
    const args = argumentsOf({ kernel: { path: "/k/x", append: "" } });
    expect(args).toContain("-kernel");
    expect(args).not.toContain("-initrd");
    expect(args).not.toContain("-append");
  });

  test("a command line that the kernel would cut is refused, by its bytes", () => {
    const append = (text: string) => ({ kernel: { path: "/k/x", append: text } });
    expect(planParts(parts(append("ж".repeat(1023))), host()).kernel?.append).toHaveLength(1023);
    expect(refusal(append("ж".repeat(1024)))).toMatchObject({ kind: "usage", found: "2048" });
    expect(refusal(append("a\nb"))).toMatchObject({ kind: "usage" });
  });

  test("neither kernel nor disk is no machine", () => {
    expect(refusal({})).toMatchObject({ kind: "usage", found: "neither" });
  });
});

test("what the original of a bootstrap asks of its machine", () => {
  const args = argumentsOf({
    disks: disks("ide", "ide"),
    splitIrqchip: true,
    serialScreen: true,
    processor: "qemu64",
    processors: 2,
    memoryMb: 4096,
    network: { mode: "user", card: "e1000", ipv6: false },
    stopOnReset: true,
  });
  const words = [
    "pc,smm=off,kernel-irqchip=split,graphics=off",
    "qemu64",
    "4096M",
    "user,id=net0,restrict=off,ipv6=off",
    "e1000,netdev=net0,romfile=",
  ];
  expect(args).toEqual(expect.arrayContaining(words));
  expect(args[args.indexOf("-action") + 1]).toBe("reboot=shutdown,shutdown=pause,panic=pause");
  expect(args[args.indexOf("-sandbox") + 1]).toMatch(/^on,/);
});

test("UEFI firmware stands on q35 alone", () => {
  const uefi = planParts(parts({ firmware: "uefi", disks: disks("sata") }), host());
  expect(uefi.firmware).toMatchObject({ interface: "uefi", mapping: OVMF.mapping });
  expect(refusal({ firmware: "uefi", disks: disks("ide") })).toMatchObject({ kind: "usage" });
});

test("each choice says why, and the plan is data", () => {
  for (const accelerator of ["auto", "kvm", "tcg"] as const) {
    const plan = planParts(parts({ accelerator, disks: disks("ide", "usb"), stopOnReset: accelerator === "auto" }), host());
    const { machine, processor, firmware, image, drives, screen, network, reset } = plan;
    for (const choice of [machine, plan.accelerator, processor, firmware, image, ...drives, screen, network, reset]) {
      expect(choice?.because).toMatch(/\w.{5}/);
    }
    expect(plan).toEqual(JSON.parse(JSON.stringify(plan)));
  }
});

test("no path and no command line adds an argument or an option", () => {
  const hostile = fc.constantFrom(",snapshot=off", ",,", " -drive x", "-", "=", '"', "nbd:host", "ж,", ",if=floppy");
  const key = (word: string) =>
    word
      .replaceAll(",,", "")
      .split(",")
      .map((part) => part.split("=", 1)[0]);
  fc.assert(
    fc.property(fc.array(hostile, { minLength: 1, maxLength: 4 }), fc.constantFrom<Bus>("ide", "sata", "virtio", "usb"), (texts, bus) => {
      const path = `/${texts.join("")}`;
      const given = (name: string) => argumentsOf({ disks: [{ path: name, bus, writable: true }] });
      const [args, plain] = [given(path), given("/x")];
      expect(args.map(key)).toEqual(plain.map(key));
      const withKernel = argumentsOf({ kernel: { path, initrds: [path], append: texts.join(" ") } });
      expect(withKernel.length).toBe(argumentsOf({ kernel: { path: "/x", initrds: ["/x"], append: "x" } }).length);
      expect(withKernel.filter((word) => word === path).length).toBeGreaterThanOrEqual(2);
    }),
  );
});
