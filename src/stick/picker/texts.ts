/** What the picker tells of an image, its sessions and its settings, in lines of text that are not cut yet. */

import { GREEN, RED, type Span, YELLOW } from "../../formats/terminal-frame.ts";
import type { ImageFacts } from "../../image/image-facts.ts";
import { renderImageFacts } from "../../image/image-text.ts";
import { renderBootMenus } from "../../image/menus/menu-text.ts";
import type { ImageLook, PickerImage, PickerSession } from "./facts.ts";
import { CHANGEABLE, ORIGIN_WORDS, settingsInForce, titleOf, valueText } from "./settings.ts";
import { type PickerState, whyUnbootable } from "./state.ts";

/** `1.5 GiB`. */
export function sizeText(bytes: bigint): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let size = Number(bytes);
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** `3 min 05 s`. */
export function timeText(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
}

/** `success at login, 42 s`. */
export function verdictText({ state, result, stage, domain, durationMs }: PickerSession): string {
  if (state === "running") return "runs";
  if (state === "cut off") return "cut off";
  const where = stage === undefined ? "" : ` at ${stage}`;
  const why = domain === undefined || domain === "none" || domain === "unknown" ? "" : ` (${domain})`;
  const time = durationMs === undefined ? "" : `, ${timeText(durationMs)}`;
  return `${result ?? state}${where}${why}${time}`;
}

export const verdictColour = ({ result }: Pick<PickerSession, "result">): number =>
  result === "success" ? GREEN : result === "failure" ? RED : YELLOW;

/** Newest first. */
export const sessionsOf = (state: PickerState, path: string | undefined): readonly PickerSession[] =>
  path === undefined ? state.facts.sessions : (state.sessions.get(path) ?? []);

/** What of its bytes is known. */
export function sumText({ state, sha256 }: PickerImage): string {
  if (state === "added") return `SHA-256 begins with ${sha256?.slice(0, 16)}, as added`;
  if (state === "changed") return "has another size than was added";
  return state === "missing" ? "was added, and is gone" : "copied by hand: its sum is not known";
}

function kindText({ kind, iso, container }: ImageFacts): string {
  if (kind === "iso9660") return `ISO 9660${iso === null || iso.volumeId === "" ? "" : ` "${iso.volumeId}"`}`;
  if (kind === "disk") return "disk image";
  return kind === "container" ? `${container ?? "container"}` : "nothing that we know to boot";
}

function bootsText({ boots }: ImageFacts): string {
  const ways = [
    ...(boots.uefi.cd.can || boots.uefi.usb.can ? [`UEFI (${mediaOf(boots.uefi)})`] : []),
    ...(boots.bios.cd.can || boots.bios.usb.can ? [`BIOS (${mediaOf(boots.bios)})`] : []),
  ];
  return ways.length === 0 ? `no firmware would start it: ${boots.uefi.cd.because}` : `boots by ${ways.join(" and ")}`;
}

const mediaOf = (answers: ImageFacts["boots"]["uefi"]): string =>
  [...(answers.cd.can ? ["CD"] : []), ...(answers.usb.can ? ["USB"] : [])].join(", ");

/** The few lines below the list; the first ones matter most. */
export function summaryLines(state: PickerState, image: PickerImage): readonly (readonly Span[])[] {
  const look = state.looks.get(image.path);
  const plain = (text: string): readonly Span[] => [{ text }];
  const changed = image.modifiedMs === null ? "" : `, changed ${new Date(image.modifiedMs).toISOString().slice(0, 10)}`;
  const [last] = sessionsOf(state, image.path);
  const count = sessionsOf(state, image.path).length;
  return [
    ...(image.tip === undefined ? [] : [plain(image.tip)]),
    plain(image.path),
    plain(`${sizeText(image.sizeBytes)}${changed}; ${sumText(image)}`),
    lookSummary(image, look),
    ...(look?.type === "read" ? [plain(entriesText(look))] : []),
    last === undefined
      ? plain("not booted yet")
      : [
          { text: "last boot: " },
          { text: verdictText(last), style: { colour: verdictColour(last) } },
          { text: `, ${last.startUtc.slice(0, 16).replace("T", " ")}${count > 1 ? `; ${count} boots in all` : ""}` },
        ],
    plain(settingsSummary(state, image.path)),
  ];
}

function lookSummary(image: PickerImage, look: ImageLook | undefined): readonly Span[] {
  if (image.state === "missing") return [{ text: "" }];
  if (look === undefined) return [{ text: "looking inside" }];
  const why = whyUnbootable(look);
  if (look.type === "unreadable") return [{ text: `cannot be read: ${look.because}`, style: { colour: RED } }];
  if (why !== undefined) return [{ text: `${kindText(look.facts)}; cannot boot: ${why}`, style: { colour: RED } }];
  return [{ text: `${kindText(look.facts)}; ${bootsText(look.facts)}` }];
}

function entriesText({ menus }: Extract<ImageLook, { type: "read" }>): string {
  if (menus.entries.length === 0) return "no boot menu that we can read";
  const standard = menus.standard === null ? "" : `, by itself "${menus.standard.title}"`;
  return `${menus.entries.length} boot ${menus.entries.length === 1 ? "entry" : "entries"}${standard}`;
}

/** Memory, processors and trace level, and all that somebody has set. */
function settingsSummary(state: PickerState, path: string): string {
  const { settings, origin } = settingsInForce(state.facts, path, state.changed.get(path) ?? {});
  const always = [
    `${settings.guestRam} MB`,
    `${settings.guestCpus} CPU${settings.guestCpus === 1 ? "" : "s"}`,
    `trace ${settings.traceLevel}`,
  ];
  const others = CHANGEABLE.filter(
    ({ setting }) => !["guestRam", "guestCpus", "traceLevel"].includes(setting) && origin[setting] !== "default",
  ).map((parameter) => `${titleOf(parameter)} ${valueText(parameter, settings[parameter.setting])}`);
  return `settings: ${[...always, ...others].join(", ")}`;
}

/** All that is known of an image, to be read page by page. */
export function detailText(state: PickerState, image: PickerImage): string {
  const look = state.looks.get(image.path);
  const { settings, origin } = settingsInForce(state.facts, image.path, state.changed.get(image.path) ?? {});
  const rows = CHANGEABLE.map((parameter) => {
    const from = ORIGIN_WORDS[origin[parameter.setting]];
    return `  ${titleOf(parameter).padEnd(16)} ${valueText(parameter, settings[parameter.setting])}${from === "" ? "" : `  (${from})`}`;
  });
  return [
    image.path,
    ...(image.tip === undefined ? [] : [image.tip]),
    `${sizeText(image.sizeBytes)} (${image.sizeBytes} bytes)${image.modifiedMs === null ? "" : `, changed ${new Date(image.modifiedMs).toISOString().slice(0, 16).replace("T", " ")} UTC`}`,
    image.sha256 === undefined ? sumText(image) : `SHA-256 ${image.sha256}${image.state === "added" ? "" : ` (${sumText(image)})`}`,
    "",
    "Settings",
    ...rows,
    "",
    look === undefined
      ? "Looking inside"
      : look.type === "unreadable"
        ? `Cannot be read: ${look.because}`
        : `${renderImageFacts(look.facts)}\n${renderBootMenus(look.menus)}`,
  ].join("\n");
}
