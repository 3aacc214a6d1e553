/**
 * What a machine has only when somebody asks for it: a window, a TPM, shared folders, forwarded ports, words of QEMU's own. Decided here from
 * the wish and from what this computer offers; nothing here touches the computer.
 */
import { basename } from "node:path";
import { HiperisoError } from "../../contract/error.ts";
import type { Settings } from "../../contract/parameters.ts";
import { qemuOptionValue } from "../../formats/escape-qemu-option.ts";
import { printable } from "../../formats/escape-terminal.ts";
import { clashingForwards, type Forward, forwardText, isOpenToOthers } from "./forward.ts";
import type { KnownMachine } from "./machine-name.ts";
import type { ProcessorOffer } from "./processor-features.ts";

/** Where VNC listens: a socket that only its owner can open, or a TCP port of the loop-back; `auto` is the first free one from 5900. */
export type VncPlace = "socket" | "auto" | number;

export type DisplayPlan =
  | { readonly kind: "none" }
  | { readonly kind: "gtk"; readonly because: string }
  | { readonly kind: "vnc"; readonly place: VncPlace; readonly because: string };

export interface TpmPlan {
  /** swtpm's program. */
  readonly program: string;
  /** A folder that keeps the TPM's state between boots; null: it is private to the session and goes with it. Absolute. */
  readonly state: string | null;
  readonly because: string;
}

export interface SharePlan {
  /** Absolute. */
  readonly path: string;
  /** By this name the guest mounts it. */
  readonly tag: string;
  readonly writable: boolean;
  readonly because: string;
}

/** Fields of a machine plan. */
export interface Extras {
  readonly display: DisplayPlan;
  readonly tpm: TpmPlan | null;
  readonly shares: readonly SharePlan[];
  /** Given to QEMU behind all others, unread. */
  readonly extraArguments: readonly string[];
}

/** A machine that nobody asked anything special of. */
export const noExtras: Extras = { display: { kind: "none" }, tpm: null, shares: [], extraArguments: [] };

export interface ExtrasWish {
  /** `--machine`; undefined: q35. */
  readonly machine: string | undefined;
  /** Absolute; asks for a TPM as well. */
  readonly tpmState: string | undefined;
  readonly vnc: VncPlace | undefined;
  readonly forwards: readonly Forward[];
  readonly shares: readonly { readonly path: string; readonly writable: boolean }[];
  readonly extraArguments: readonly string[];
}

export const noWish: ExtrasWish = {
  machine: undefined,
  tpmState: undefined,
  vnc: undefined,
  forwards: [],
  shares: [],
  extraArguments: [],
};

/** What this computer and its QEMU have of all this. */
export interface HostOffer {
  readonly machines: readonly KnownMachine[];
  /** Names for `-device`. */
  readonly devices: readonly string[];
  /** Names for `-display`. */
  readonly displays: readonly string[];
  /** Whether there is a desktop that a window could open on. */
  readonly desktop: boolean;
  /** swtpm's program; a lack is told before it comes to a plan. */
  readonly swtpm: string | undefined;
  /** Undefined where no features were asked for. */
  readonly processor: ProcessorOffer | undefined;
}

/** Throws a usage error on what contradicts itself, a failure on what this computer has not. */
export function planExtras(wish: ExtrasWish, settings: Pick<Settings, "display" | "vga" | "tpm">, offer: HostOffer): Extras {
  for (const word of wish.extraArguments) checkWord(word);
  return {
    display: planDisplay(wish, settings, offer),
    tpm: planTpm(wish, settings, offer),
    shares: planShares(wish, offer),
    extraArguments: wish.extraArguments,
  };
}

function planDisplay({ vnc }: ExtrasWish, { display, vga }: Pick<Settings, "display" | "vga">, offer: HostOffer): DisplayPlan {
  if (vnc !== undefined && display !== "vnc") throw refused("--display vnc with --vnc", `--display ${display}`, "Ask for --display vnc.");
  if (display === "none") return { kind: "none" };
  if (vga === "none") throw refused(`a display adapter for --display ${display}`, "--vga none", "Leave --vga away, or the display.");
  if (display === "vnc") {
    const place = vnc ?? "socket";
    return {
      kind: "vnc",
      place,
      because: place === "socket" ? "a socket in the file system, which only its owner can open" : "a TCP port of the loop-back",
    };
  }
  if (!offer.displays.includes("gtk")) {
    throw lacking("open a window", "QEMU's GTK display", `one of ${offer.displays.join(", ")}`, GTK_HINT);
  }
  if (!offer.desktop) {
    throw refused("a desktop for the window", "neither WAYLAND_DISPLAY nor DISPLAY", "--display vnc shows the screen without one.");
  }
  return { kind: "gtk", because: "--display gtk; QEMU may start programs, since a window's toolkit does" };
}

const GTK_HINT = "Install qemu-system-gui (Debian, Ubuntu), qemu-ui-gtk (Fedora, openSUSE) or qemu-ui-gtk (Arch), or take --display vnc.";

function planTpm({ tpmState }: ExtrasWish, { tpm }: Pick<Settings, "tpm">, { swtpm, devices }: HostOffer): TpmPlan | null {
  if (!tpm && tpmState === undefined) return null;
  if (swtpm === undefined) throw lacking("attach a TPM", "swtpm", "none", "Install swtpm.");
  if (!devices.includes(TPM_DEVICE)) throw lacking("attach a TPM", `QEMU's device ${TPM_DEVICE}`, "a QEMU without it");
  if (tpmState === undefined) return { program: swtpm, state: null, because: "its state is new and goes with the session" };
  return { program: swtpm, state: tpmState, because: "--tpm-state keeps what it remembers for the next boot" };
}

/** Of the two interfaces the one of today's computers; Windows 11 and Linux know both. */
export const TPM_DEVICE = "tpm-crb";
export const SHARE_DEVICE = "virtio-9p-pci";

/** PCI slots are finite, and who shares more has another wish. */
const SHARES_MAX = 8;

function planShares({ shares }: ExtrasWish, { devices }: HostOffer): readonly SharePlan[] {
  if (shares.length > SHARES_MAX) throw refused(`at most ${SHARES_MAX} shared folders`, `${shares.length}`, "Share a folder above them.");
  if (shares.length > 0 && !devices.includes(SHARE_DEVICE)) {
    throw lacking("share a folder", `QEMU's device ${SHARE_DEVICE}`, "a QEMU without it");
  }
  return shares.map(({ path, writable }, index) => {
    qemuOptionValue(path);
    return {
      path,
      tag: `share${index}`,
      writable,
      because: writable ? "--share-writable: the guest may change what is in it" : "--share: the guest may read it",
    };
  });
}

/** Two words for one port, or ports without a network. */
export function checkForwards(forwards: readonly Forward[]): void {
  const clash = clashingForwards(forwards);
  if (clash === undefined) return;
  throw refused("one guest port for each port of the host", clash.map(forwardText).join(" and "), "Choose another port of the host.");
}

function checkWord(word: string): void {
  if (word !== "" && !word.includes("\0")) return;
  throw refused(
    "a word for QEMU's command line",
    `"${printable(word)}"`,
    "An option and its value are two words: --qemu-arg=-device --qemu-arg=edu.",
  );
}

/** For the person, and kept in the session. */
export function extrasWarnings({ display, shares, extraArguments }: Extras, forwards: readonly Forward[]): readonly string[] {
  const warnings: string[] = [];
  if (display.kind === "vnc" && display.place !== "socket") {
    warnings.push("VNC on a TCP port asks for no password: every user of this computer can see the guest and type into it.");
  }
  for (const forward of forwards.filter(isOpenToOthers)) {
    warnings.push(`Other computers reach the guest through ${forward.address}, port ${forward.hostPort}.`);
  }
  for (const { path } of shares.filter(({ writable }) => writable)) warnings.push(`The guest may write to the folder ${path}.`);
  if (extraArguments.length > 0) {
    warnings.push(`QEMU is given arguments that hiperiso has not read (--qemu-arg): ${extraArguments.join(" ")}`);
  }
  return warnings;
}

/** How a guest gets at a shared folder. */
export const mountCommand = ({ tag, path }: Pick<SharePlan, "tag" | "path">): string =>
  `${basename(path)}: mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 ${tag} /mnt`;

const refused = (expected: string, found: string, hint: string): HiperisoError =>
  new HiperisoError({ what: "plan the machine", expected, found, hint, kind: "usage" });

const lacking = (what: string, expected: string, found: string, hint?: string): HiperisoError =>
  new HiperisoError({ what, expected, found, ...(hint === undefined ? {} : { hint }), kind: "failure" });
