import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import type { Firmware } from "../../src/contract/parameters.ts";
import {
  type Attachment,
  type BootRequest,
  type HostToBootOn,
  type ImageToBoot,
  planMachine,
  variableStoreTemplate,
} from "../../src/machine/plan.ts";
import { qemuArguments } from "../../src/machine/qemu-arguments.ts";
import { host, image, OVMF, PLACES, request } from "./requests.ts";

function refusal(asked: BootRequest, of: ImageToBoot, on: HostToBootOn = host()): HiperisoError {
  try {
    planMachine(asked, of, on);
  } catch (error) {
    if (error instanceof HiperisoError) return error;
    throw error;
  }
  throw new Error("it was planned");
}

describe("firmware and attachment", () => {
  type Row = readonly [ways: string, optical: boolean, firmware: Firmware | undefined, as: Attachment | undefined, planned: string];
  const rows: readonly Row[] = [
    // What an image offers, and what is chosen when nothing is asked: UEFI first, an optical image as a CD first.
    ["uc uu bc bu", true, undefined, undefined, "uefi cd"],
    ["uu bc bu", true, undefined, undefined, "uefi usb"],
    ["bc bu", true, undefined, undefined, "bios cd"],
    ["bu", true, undefined, undefined, "bios usb"],
    ["uu bu", false, undefined, undefined, "uefi usb"],
    ["bu", false, undefined, undefined, "bios usb"],
    // A disk is never guessed to be a CD.
    ["uc bc", false, undefined, undefined, "refused"],
    ["", true, undefined, undefined, "refused"],
    // --as narrows the choice and never widens it.
    ["uc uu bc bu", true, undefined, "usb", "uefi usb"],
    ["uc bu", true, undefined, "usb", "bios usb"],
    ["uc bc", true, undefined, "usb", "refused"],
    ["uc", false, undefined, "cd", "uefi cd"],
    // --firmware is never overruled: an image that cannot be booted so is booted all the same, for the verdict.
    ["uc uu bc bu", true, "bios", undefined, "bios cd"],
    ["uu", true, "uefi", undefined, "uefi usb"],
    ["uc", true, "bios", undefined, "bios cd"],
    ["", true, "uefi", undefined, "uefi cd"],
    ["", false, "uefi", undefined, "uefi usb"],
    ["", true, "uefi", "usb", "uefi usb"],
    ["bc", true, "bios", "usb", "bios usb"],
  ];

  test.each(rows)("ways [%s], optical %s, --firmware %s, --as %s: %s", (ways, optical, firmware, attach, planned) => {
    const asked = request({ attach, settings: { firmware } });
    const shown = image(ways, { optical });
    if (planned === "refused") {
      expect(refusal(asked, shown)).toMatchObject({ kind: "usage", where: "/isos/demo.iso" });
      return;
    }
    const plan = planMachine(asked, shown, host());
    expect(`${plan.firmware.interface} ${plan.image.attach}`).toBe(planned);
  });

  test("a refusal names the reason of every way that was looked at, and the flag that overrules it", () => {
    const error = refusal(request(), image(""));
    for (const reason of ["UEFI from CD: seen: uc", "UEFI from USB: seen: uu", "BIOS from CD: seen: bc", "BIOS from USB: seen: bu"]) {
      expect(error.found).toContain(reason);
    }
    expect(error.hint).toContain("--firmware");
  });

  test("an image that does not look bootable, booted because the person said so, is a warning", () => {
    expect(planMachine(request({ settings: { firmware: "uefi" } }), image("bc"), host()).warnings.join()).toMatch(
      /does not look bootable.*seen: uc/,
    );
    expect(planMachine(request({ settings: { firmware: "bios" } }), image("bc"), host()).warnings).toEqual([]);
  });

  test("UEFI without firmware on this computer fails with what to install, BIOS does not need it", () => {
    const bare = host({ uefi: { missing: "no descriptor", hint: "Install ovmf." } });
    expect(refusal(request(), image("uc bc"), bare)).toMatchObject({ kind: "failure", found: "no descriptor", hint: "Install ovmf." });
    expect(planMachine(request({ settings: { firmware: "bios" } }), image("uc bc"), bare).firmware.interface).toBe("bios");
  });
});

describe("a damaged image", () => {
  const cut = image("uc bc", { damage: "its last 5 bytes are missing" });
  test("is refused unless the firmware is named", () => {
    expect(refusal(request(), cut)).toMatchObject({ kind: "usage", found: "its last 5 bytes are missing" });
  });

  test("is booted with --firmware, with a warning", () => {
    const plan = planMachine(request({ settings: { firmware: "bios" } }), cut, host());
    expect(plan.warnings).toEqual(["The image is damaged: its last 5 bytes are missing."]);
  });
});

describe("accelerator", () => {
  test.each([
    ["auto", false, "available", "kvm", "a probe guest ran"],
    ["auto", false, "unavailable", "tcg", "a probe guest ran"],
    ["auto", false, "unknown", "tcg", "a probe guest ran"],
    ["auto", true, "available", "tcg", "hiperiso_fallback=1"],
    ["kvm", false, "unavailable", "kvm", "--accel kvm"],
    ["kvm", true, "unknown", "kvm", "--accel kvm"],
    ["tcg", false, "available", "tcg", "--accel tcg"],
  ] as const)("--accel %s, fallback %s, probe says %s: %s", (accelerator, fallback, state, use, because) => {
    const asked = request({ accelerator, settings: { fallback } });
    const plan = planMachine(asked, image("uc"), host({ kvm: { state, because: "a probe guest ran" } }));
    expect(plan.accelerator.use).toBe(use);
    expect(plan.accelerator.because).toContain(because);
    expect(plan.processor.model).toBe(use === "kvm" ? "host" : "max,la57=off");
    expect(plan.limits.bootMs).toBe(use === "kvm" ? 600_000 : 1_800_000);
  });
});

describe("memory", () => {
  test("all of the host's is allowed, more is not", () => {
    expect(planMachine(request({ settings: { guestRam: 8192 } }), image("uc"), host()).memoryMb).toBe(8192);
    const error = refusal(request({ settings: { guestRam: 8193 } }), image("uc"));
    expect(error).toMatchObject({ kind: "usage", found: "8193 MB asked for" });
    expect(error.expected).toContain("8192 MB");
  });

  test("less than UEFI firmware lives in is refused, since it would hang without a word; a BIOS may have it", () => {
    expect(refusal(request({ settings: { guestRam: 63 } }), image("uc bc"))).toMatchObject({ kind: "usage", found: "63 MB asked for" });
    expect(planMachine(request({ settings: { guestRam: 64 } }), image("uc bc"), host()).firmware.interface).toBe("uefi");
    expect(planMachine(request({ settings: { guestRam: 16, firmware: "bios" } }), image("uc bc"), host()).memoryMb).toBe(16);
  });

  test("more than is free is a warning", () => {
    expect(planMachine(request({ settings: { guestRam: 4096 } }), image("uc"), host()).warnings).toEqual([]);
    expect(planMachine(request({ settings: { guestRam: 4097 } }), image("uc"), host()).warnings.join()).toContain("4096 MB are free");
  });

  test("a host that does not tell its memory refuses nothing", () => {
    expect(planMachine(request(), image("uc"), host({ totalRamMb: 0, availableRamMb: 0 })).warnings).toEqual([]);
  });
});

describe("writing to the image", () => {
  test("happens only when asked, and is said", () => {
    expect(planMachine(request(), image("uu"), host()).image.writable).toBe(false);
    const plan = planMachine(request({ writable: true }), image("uu"), host());
    expect(plan.image.writable).toBe(true);
    expect(plan.warnings.join()).toContain("--writable");
  });

  test("a CD cannot be written: a hybrid image becomes a disk, --as cd is refused", () => {
    expect(planMachine(request({ writable: true }), image("uc uu"), host()).image.attach).toBe("usb");
    expect(refusal(request({ writable: true, attach: "cd" }), image("uc uu"))).toMatchObject({
      kind: "usage",
      hint: expect.stringContaining("usb"),
    });
    expect(refusal(request({ writable: true }), image("uc"))).toMatchObject({ kind: "usage" });
  });
});

test("firmware behind SMM gets a machine with SMM and protected flash; any other does not", () => {
  const secure = planMachine(request(), image("uc"), host({ uefi: { files: { ...OVMF, requiresSmm: true } } }));
  expect(secure.machine).toMatchObject({ smm: true, because: expect.stringContaining("SMM") });
  expect(qemuArguments(secure, PLACES)).toEqual(expect.arrayContaining(["q35,smm=on", "driver=cfi.pflash01,property=secure,value=on"]));
  const open = qemuArguments(planMachine(request(), image("uc"), host()), PLACES);
  expect(open).toContain("q35,smm=off");
  expect(open.join(" ")).not.toContain("secure");
  const bios = planMachine(
    request({ settings: { firmware: "bios" } }),
    image("bc"),
    host({ uefi: { files: { ...OVMF, requiresSmm: true } } }),
  );
  expect(bios.machine.smm).toBe(false);
});

test("each choice says why", () => {
  for (const network of ["none", "restricted", "user"] as const) {
    for (const vga of ["none", "std", "virtio"] as const) {
      const plan = planMachine(request({ network, settings: { vga } }), image("uc"), host());
      const { machine, accelerator, processor, firmware, image: attached, screen, network: card } = plan;
      for (const { because } of [machine, accelerator, processor, firmware, attached, screen, card]) expect(because).toMatch(/\w.{5}/);
      expect(plan).toEqual(JSON.parse(JSON.stringify(plan)));
    }
  }
});

test.each(["/isos/a\nb.iso", "/isos/a\0.iso", "/isos/\x7f"])(
  "a path that no QEMU option can carry is refused while planning: %j",
  (path) => {
    expect(refusal(request(), image("uc", { path }))).toMatchObject({ kind: "usage", hint: "Rename the file." });
  },
);

test("which file a session gets a private copy of", () => {
  const templateOf = (mapping: typeof OVMF.mapping) =>
    variableStoreTemplate(planMachine(request(), image("uc"), host({ uefi: { files: { ...OVMF, mapping } } })));
  const code = { filename: "/fw/all.fd", format: "qcow2" };
  expect(templateOf(OVMF.mapping)).toEqual({ filename: "/usr/share/OVMF/OVMF_VARS_4M.fd", format: "raw" });
  expect(templateOf({ device: "flash", mode: "combined", executable: code })).toEqual(code);
  expect(templateOf({ device: "memory", filename: "/fw/bios.bin" })).toBeUndefined();
  expect(variableStoreTemplate(planMachine(request(), image("bc"), host()))).toBeUndefined();
});
