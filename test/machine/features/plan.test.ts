/** What the features of a machine do to its plan. */
import { describe, expect, test } from "vitest";
import { noWish } from "../../../src/machine/features/extras.ts";
import { parseForward } from "../../../src/machine/features/forward.ts";
import { planMachine } from "../../../src/machine/plan.ts";
import { planParts, standardParts } from "../../../src/machine/plan-parts.ts";
import { qemuArguments } from "../../../src/machine/qemu-arguments.ts";
import { host, image, OFFER, OVMF, PLACES, request } from "../requests.ts";

const secureHost = host({ uefi: { files: { ...OVMF, requiresSmm: true, secureBoot: true } } });

describe("Secure Boot", () => {
  const asked = request({ settings: { secureBoot: true } });

  test("is UEFI with SMM and flash that only SMM writes", () => {
    const plan = planMachine(asked, image("uc bc"), secureHost);
    expect(plan).toMatchObject({ firmware: { interface: "uefi", secureBoot: true }, machine: { type: "q35", smm: true } });
    const words = qemuArguments(plan, PLACES);
    expect(words).toContain("q35,smm=on");
    expect(words).toContain("driver=cfi.pflash01,property=secure,value=on");
  });

  test("is never given up for a BIOS, neither by a request nor by an image", () => {
    expect(() => planMachine(request({ settings: { secureBoot: true, firmware: "bios" } }), image("uc bc"), secureHost)).toThrow(
      expect.objectContaining({ kind: "usage", what: "boot with Secure Boot" }),
    );
    expect(() => planMachine(asked, image("bc bu"), secureHost)).toThrow(
      expect.objectContaining({ kind: "usage", what: "boot the image" }),
    );
  });

  test("without firmware whose keys are enrolled is a failure that names what to install", () => {
    const missing = { missing: "nothing answers: UEFI firmware with Secure Boot and enrolled keys", hint: "Install ovmf." };
    expect(() => planMachine(asked, image("uc"), host({ uefi: missing }))).toThrow(
      expect.objectContaining({ kind: "failure", found: missing.missing, hint: "Install ovmf." }),
    );
  });

  test("stays on where a kernel is started directly", () => {
    const kernel = { path: "/vmlinuz", append: "" };
    const plan = planMachine({ ...asked, kernel }, undefined, secureHost);
    expect(plan.firmware).toMatchObject({ interface: "uefi", secureBoot: true });
    expect(plan.warnings).toContainEqual(expect.stringContaining("unchecked"));
    expect(planMachine(request({ kernel }), undefined, host()).firmware.interface).toBe("bios");
  });
});

describe("a network", () => {
  const network = (...[changes]: Parameters<typeof request>) => planMachine(request(changes), image("uc"), host()).network;
  const forwards = [parseForward("2222:22")];

  test("comes with what needs one, and leads nowhere unless asked to", () => {
    expect(network()).toMatchObject({ mode: "none", dump: false, forwards: [] });
    expect(network({ settings: { netDump: true } })).toMatchObject({ mode: "restricted", card: "virtio-net-pci", dump: true });
    expect(network({ extras: { ...noWish, forwards } })).toMatchObject({ mode: "restricted", forwards });
    expect(network({ network: "user", settings: { netDump: true } })).toMatchObject({ mode: "user", dump: true });
  });

  test("that is refused is not brought back", () => {
    for (const changes of [{ settings: { netDump: true } }, { extras: { ...noWish, forwards } }]) {
      expect(() => network({ network: "none", ...changes })).toThrow(expect.objectContaining({ kind: "usage", found: "--network none" }));
    }
  });

  test("its packets go to the session, whatever that is called; ports are words of the network's own option", () => {
    const plan = planMachine(request({ settings: { netDump: true }, extras: { ...noWish, forwards } }), image("uc"), host());
    const words = qemuArguments(plan, { ...PLACES, networkCapture: "/logs/a,b/network.pcap" });
    expect(words).toContain("filter-dump,id=capture,netdev=net0,file=/logs/a,,b/network.pcap");
    expect(words).toContain("user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:2222-:22");
    expect(qemuArguments(planMachine(request(), image("uc"), host()), PLACES).join(" ")).not.toContain("filter-dump");
  });
});

test("a machine by its version keeps its controllers; one that QEMU has not is refused", () => {
  const machine = (name: string) => planMachine(request({ extras: { ...noWish, machine: name } }), image("uc"), host());
  expect(qemuArguments(machine("pc-q35-6.0"), PLACES)).toContain("pc-q35-6.0,smm=off");
  expect(qemuArguments(machine("pc-i440fx-7.2"), PLACES)).toContain("ide-cd,bus=ide.0,unit=0,drive=image,bootindex=1");
  expect(() => machine("microvm")).toThrow(expect.objectContaining({ kind: "usage" }));
});

test("processor features stand behind the model; what emulation has not is a warning", () => {
  const processor = { known: new Set(["vmx", "svm"]), given: { tcg: new Set(["svm"]), kvm: undefined } };
  const plan = planMachine(request({ settings: { cpuFeatures: "vmx,-svm" } }), image("uc"), host({ offer: { ...OFFER, processor } }));
  expect(plan.processor.model).toBe("max,la57=off,vmx=on,svm=off");
  expect(plan.warnings).toContainEqual(expect.stringContaining("Emulation has no vmx"));
});

test("words for QEMU come last, behind all that hiperiso says", () => {
  const plan = planMachine(request({ extras: { ...noWish, extraArguments: ["-device", "edu"] } }), image("uc"), host());
  expect(qemuArguments(plan, PLACES).slice(-2)).toEqual(["-device", "edu"]);
});

test("only a window lets QEMU start programs", () => {
  const sandbox = (display: "none" | "gtk" | "vnc") => {
    const words = qemuArguments(planMachine(request({ settings: { display } }), image("uc"), host()), PLACES);
    return words[words.indexOf("-sandbox") + 1];
  };
  expect(["none", "vnc", "gtk"].map((display) => /spawn=(\w+)/.exec(sandbox(display as "none")!)![1])).toEqual(["deny", "deny", "allow"]);
});

test("a machine of parts has none of this", () => {
  const plan = planParts({ ...standardParts, kernel: { path: "/vmlinuz", append: "" } }, host());
  expect(plan).toMatchObject({
    tpm: null,
    display: { kind: "none" },
    shares: [],
    extraArguments: [],
    network: { forwards: [], dump: false },
  });
});
