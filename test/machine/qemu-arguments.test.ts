import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { FirmwareMapping } from "../../src/host/firmware.ts";
import { type BootRequest, type ImageToBoot, planMachine } from "../../src/machine/plan.ts";
import { qemuArguments } from "../../src/machine/qemu-arguments.ts";
import { host, image, OVMF, PLACES, request } from "./requests.ts";

function argumentsOf(asked: BootRequest, shown: ImageToBoot, mapping: FirmwareMapping = OVMF.mapping): readonly string[] {
  return qemuArguments(planMachine(asked, shown, host({ uefi: { files: { ...OVMF, mapping } } })), PLACES);
}

const bios = (attach: "cd" | "usb") => argumentsOf(request({ attach, settings: { firmware: "bios" } }), image("bc bu"));
const uefi = (attach: "cd" | "usb") => argumentsOf(request({ attach }), image("uc uu"));

describe("the whole command line", () => {
  const begin = [
    "-nodefaults",
    "-no-user-config",
    "-machine",
    "q35,smm=off",
    "-accel",
    "tcg",
    "-cpu",
    "max,la57=off",
    "-smp",
    "2",
    "-m",
    "2048M",
  ];
  const biosLog = ["-chardev", "file,id=firmware,path=/logs/s/firmware.log", "-device", "isa-debugcon,iobase=0x402,chardev=firmware"];
  const flash = [
    ...["-drive", "if=pflash,unit=0,readonly=on,format=raw,file.driver=file,file.filename=/usr/share/OVMF/OVMF_CODE_4M.fd"],
    ...["-drive", "if=pflash,unit=1,readonly=off,format=raw,file.driver=file,file.filename=/tmp/s/variables.fd"],
  ];
  const cd = [
    ...["-drive", "if=none,id=image,media=cdrom,readonly=on,format=raw,file.driver=file,file.filename=/isos/demo.iso"],
    ...["-device", "ide-cd,bus=ide.0,drive=image,bootindex=1"],
  ];
  const usb = [
    ...["-drive", "if=none,id=image,snapshot=on,format=raw,file.driver=file,file.filename=/isos/demo.iso"],
    ...["-device", "qemu-xhci,id=xhci"],
    ...["-device", "usb-storage,bus=xhci.0,removable=on,drive=image,bootindex=1"],
  ];
  const end = [
    ...["-display", "none", "-device", "VGA", "-device", "pvpanic"],
    ...["-object", "rng-random,id=rng0,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng0"],
    ...["-chardev", "null,id=serial0", "-serial", "chardev:serial0"],
    ...["-chardev", "socket,id=recorder,fd=3", "-mon", "chardev=recorder,mode=control"],
    ...["-chardev", "socket,id=monitor,path=/logs/s/monitor.sock,server=on,wait=off", "-mon", "chardev=monitor,mode=control"],
    ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    ...["-S", "-action", "shutdown=pause,panic=pause"],
  ];

  test.each([
    ["BIOS from CD", () => bios("cd"), [...begin, ...biosLog, ...cd, ...end]],
    ["BIOS from USB", () => bios("usb"), [...begin, ...biosLog, ...usb, ...end]],
    ["UEFI from CD", () => uefi("cd"), [...begin, ...flash, ...cd, ...end]],
    ["UEFI from USB", () => uefi("usb"), [...begin, ...flash, ...usb, ...end]],
  ])("%s", (_, actual, expected) => {
    expect(actual()).toEqual(expected);
  });
});

describe("firmware of other mappings", () => {
  test("combined: one flash, the private copy, writable", () => {
    const args = argumentsOf(request(), image("uc"), {
      device: "flash",
      mode: "combined",
      executable: { filename: "/fw/all.qcow2", format: "qcow2" },
    });
    expect(args.filter((word) => word.includes("pflash"))).toEqual([
      "if=pflash,unit=0,readonly=off,format=qcow2,file.driver=file,file.filename=/tmp/s/variables.fd",
    ]);
  });

  test("memory: -bios, whose argument is a whole path and no list of options", () => {
    const args = argumentsOf(request(), image("uc"), { device: "memory", filename: "/fw/a,b=c.bin" });
    expect(args[args.indexOf("-bios") + 1]).toBe("/fw/a,b=c.bin");
    expect(args.join(" ")).not.toContain("pflash");
  });
});

test("a block device is opened as one; a writable image gets no overlay", () => {
  const device = argumentsOf(request({ writable: true }), image("uu", { path: "/dev/sdz", blockDevice: true, optical: false }));
  expect(device).toContain("if=none,id=image,snapshot=off,format=raw,file.driver=host_device,file.filename=/dev/sdz");
});

test("no network unless asked, then user mode, without an option ROM", () => {
  const card = (network: BootRequest["network"]) => argumentsOf(request({ network }), image("uc")).filter((word) => /net/.test(word));
  expect(card("none")).toEqual([]);
  expect(card("restricted")).toEqual(["-netdev", "user,id=net0,restrict=on", "virtio-net-pci,netdev=net0,romfile="]);
  expect(card("user")).toEqual(["-netdev", "user,id=net0,restrict=off", "virtio-net-pci,netdev=net0,romfile="]);
});

test.each(["none", "std", "virtio"] as const)("the sandbox is on and QEMU's own defaults are off, whatever is asked (--vga %s)", (vga) => {
  const args = argumentsOf(request({ network: "user", writable: true, settings: { vga } }), image("uu"));
  expect(args[args.indexOf("-sandbox") + 1]).toBe("on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
  expect(args.slice(0, 2)).toEqual(["-nodefaults", "-no-user-config"]);
  expect(args.filter((word) => /vga/i.test(word))).toEqual(vga === "none" ? [] : [vga === "std" ? "VGA" : "virtio-vga"]);
});

/** QEMU splits at a comma that stands alone, and reads two as one (util/qemu-option.c, get_opt_value). */
function splitOption(option: string): readonly string[] {
  const parts: string[] = [];
  let part = "";
  for (let at = 0; at < option.length; at += 1) {
    if (option[at] === ",") {
      if (option[at + 1] !== ",") {
        parts.push(part);
        part = "";
        continue;
      }
      at += 1;
    }
    part += option[at];
  }
  return [...parts, part];
}

test("any path comes back out of its option whole, and adds neither an option nor an argument", () => {
  const name = fc
    .string({ unit: "grapheme-composite", minLength: 1, maxLength: 60 })
    .filter((text) => !/[\0-\x1f\x7f]|\p{Surrogate}/u.test(text));
  const hostile = fc.constantFrom(
    ",readonly=off",
    "a,,b",
    "=",
    ",",
    ",,,",
    "json:{}",
    "fat:rw:/",
    "nbd:host",
    " -drive x",
    "$(id)",
    "-",
    '"',
    "'",
    "ж,",
  );
  fc.assert(
    fc.property(fc.oneof(name, hostile), fc.constantFrom("cd" as const, "usb" as const), (text, attach) => {
      const path = `/${text}`;
      const asked = request({ attach });
      const plan = planMachine(asked, image("uc uu", { path }), host());
      const args = qemuArguments(plan, { ...PLACES, variables: path, firmwareLog: path, monitorSocket: path });
      const plain = argumentsOf(asked, image("uc uu"));
      expect(args.length).toBe(plain.length);
      args.forEach((argument, index) => {
        const keys = (word: string) => splitOption(word).map((part) => part.split("=", 1)[0]);
        expect(keys(argument)).toEqual(keys(plain[index]!));
      });
      const values = args.flatMap(splitOption).filter((part) => /^(file\.filename|path)=/.test(part));
      expect(values.filter((part) => part.slice(part.indexOf("=") + 1) === path).length).toBe(3);
    }),
  );
});
