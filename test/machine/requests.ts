/** Requests, images and hosts for tests of the plan: all that a test does not speak of is ordinary. */
import { type Settings, standardSettings } from "../../src/contract/parameters.ts";
import { type HostOffer, noWish } from "../../src/machine/features/extras.ts";
import type { BootRequest, FirmwareFiles, HostToBootOn, ImageToBoot, Way } from "../../src/machine/plan.ts";
import type { BootPlaces } from "../../src/machine/qemu-arguments.ts";

export const PLACES: BootPlaces = {
  variables: "/tmp/s/variables.fd",
  firmwareLog: "/logs/s/firmware.log",
  monitorSocket: "/logs/s/monitor.sock",
  privateFolder: "/tmp/s",
  joinedInitrds: "/tmp/s/initrd.img",
  vncSocket: "/logs/s/vnc.sock",
  tpmSocket: "/tmp/s/tpm.sock",
  networkCapture: "/logs/s/network.pcap",
  trace: { list: "/scratch/trace.list", fifo: "/scratch/trace.fifo" },
};

export const OVMF: FirmwareFiles = {
  mapping: {
    device: "flash",
    mode: "split",
    executable: { filename: "/usr/share/OVMF/OVMF_CODE_4M.fd", format: "raw" },
    nvramTemplate: { filename: "/usr/share/OVMF/OVMF_VARS_4M.fd", format: "raw" },
  },
  requiresSmm: false,
  secureBoot: false,
  because: "by a descriptor",
};

/** A computer with all that may be asked for. */
export const OFFER: HostOffer = {
  machines: [
    { name: "pc", aliasOf: "pc-i440fx-7.2" },
    { name: "pc-i440fx-7.2", aliasOf: null },
    { name: "q35", aliasOf: "pc-q35-7.2" },
    { name: "pc-q35-7.2", aliasOf: null },
    { name: "pc-q35-6.0", aliasOf: null },
    { name: "microvm", aliasOf: null },
  ],
  devices: ["VGA", "tpm-crb", "virtio-9p-pci"],
  displays: ["none", "gtk"],
  desktop: true,
  swtpm: "/usr/bin/swtpm",
  processor: undefined,
};

export function request(changes: Partial<Omit<BootRequest, "settings">> & { readonly settings?: Partial<Settings> } = {}): BootRequest {
  const { settings, ...rest } = changes;
  return {
    attach: undefined,
    accelerator: "auto",
    network: undefined,
    extras: noWish,
    writable: false,
    limits: { timeLimitS: undefined, hangLimitS: undefined },
    disks: [],
    kernel: undefined,
    ...rest,
    settings: { ...standardSettings, ...settings },
  };
}

/** `ways`: two letters each, `uc` for UEFI from CD, `bu` for BIOS from USB. */
export function image(ways: string, changes: Partial<ImageToBoot> = {}): ImageToBoot {
  const way = (name: string): Way => ({ can: ways.split(" ").includes(name), because: `seen: ${name}` });
  return {
    path: "/isos/demo.iso",
    blockDevice: false,
    format: "raw",
    backing: [],
    sizeBytes: 1n << 30n,
    optical: true,
    ways: { uefi: { cd: way("uc"), usb: way("uu") }, bios: { cd: way("bc"), usb: way("bu") } },
    damage: undefined,
    ...changes,
  };
}

export function host(changes: Partial<HostToBootOn> = {}): HostToBootOn {
  return {
    qemu: "/usr/bin/qemu-system-x86_64",
    totalRamMb: 8192,
    availableRamMb: 4096,
    kvm: { state: "unavailable", because: "no /dev/kvm" },
    uefi: { files: OVMF },
    offer: OFFER,
    ...changes,
  };
}
