/** A stick as the picker sees it, and a person at its keys. */
import { emptyConfig } from "../../../src/config/hiperiso-json.ts";
import type { Looks, ScreenSize } from "../../../src/formats/terminal-frame.ts";
import { columnsOf, frameOf } from "../../../src/formats/terminal-frame.ts";
import type { Key, NamedKey } from "../../../src/formats/terminal-keys.ts";
import type { ImageFacts } from "../../../src/image/image-facts.ts";
import type { ImageLook, PickerChoice, PickerFacts, PickerImage, PickerSession } from "../../../src/stick/picker/facts.ts";
import { pageRows, reachOf, render } from "../../../src/stick/picker/render.ts";
import { openPicker, type PickerState, step } from "../../../src/stick/picker/state.ts";

export const TRAPS = [
  "plain.iso",
  "two words.iso",
  'it\'s $HOME `id` {x} [y] "q".iso',
  "esc\x1b[2Jape.iso",
  "turned\u202earound.iso",
  "日本語の名前.iso",
  "e\u0301e\u0301 combined.iso",
  "\u{1f427} penguin.img",
  `${"long-".repeat(60)}name.iso`,
  "tab\there.iso",
] as const;

export const image = (path: string, more: Partial<PickerImage> = {}): PickerImage => ({
  path,
  sizeBytes: 700n << 20n,
  modifiedMs: Date.UTC(2026, 1, 3),
  state: "added",
  sha256: "ab".repeat(32),
  title: path.slice(path.lastIndexOf("/") + 1),
  tip: undefined,
  isLocked: false,
  entries: [],
  ...more,
});

export const session = (imagePath: string, more: Partial<PickerSession> = {}): PickerSession => ({
  id: "x_20261121T101112Z",
  state: "complete",
  imagePath,
  startUtc: "2026-11-21T10:11:12Z",
  result: "success",
  stage: "login",
  domain: "none",
  durationMs: 42_000,
  ...more,
});

export const facts = (more: Partial<PickerFacts> = {}): PickerFacts => ({
  title: "HIPERISO",
  images: [image("/ISOs/debian.iso"), image("/ISOs/linux/ubuntu.iso"), image("/ISOs/Übung.iso")],
  sessions: [],
  freeBytes: 12n << 30n,
  files: {},
  config: emptyConfig,
  said: {},
  notes: [],
  waysOut: [
    { id: "menu", title: "Back to the menu" },
    { id: "poweroff", title: "Power off" },
  ],
  ...more,
});

const can = { can: true, because: "it does" };
const cannot = { can: false, because: "no boot catalogue" };
/** What a look into an image found, as far as the picker asks. */
export const look = (bootable: boolean, entries: readonly string[] = []): ImageLook => {
  const answer = bootable ? can : cannot;
  const found: Partial<ImageFacts> = {
    name: "image",
    kind: "iso9660",
    because: "",
    sizeBytes: 1,
    iso: null,
    mbr: null,
    gpt: null,
    volumes: [],
    efiBootFiles: [],
    kernels: [],
    initrds: [],
    bootConfigs: [],
    diskFiles: null,
    container: null,
    bootSector: null,
    problems: [],
    problemsOmitted: 0,
    boots: { bios: { cd: answer, usb: answer }, uefi: { cd: answer, usb: answer } },
  };
  const menus = {
    entries: entries.map((title, index) => ({
      number: index + 1,
      id: title,
      title,
      submenus: [],
      source: { loader: "grub" as const, volume: "iso9660@0", path: "/boot/grub/grub.cfg" },
      standard: false,
      kernel: null,
      initrds: [],
      arguments: "",
      whyNot: null,
    })),
    standard: null,
    notes: [],
  };
  return { type: "read", facts: found as ImageFacts, menus };
};

export const LOOKS: Looks = { colours: 8, unicode: true };
export const SIZE: ScreenSize = { columns: 80, rows: 25 };

/** `<down>` is a key, all else is typed. */
export function keys(text: string): Key[] {
  return [...text.matchAll(/<([^>]+)>|([^<])/gu)].map(
    ([, name, letter]): Key => (name === undefined ? { type: "text", text: letter! } : { type: "named", name: name as NamedKey }),
  );
}

export interface Played {
  readonly state: PickerState;
  readonly choice: PickerChoice | undefined;
  readonly password: string | undefined;
}

/** Until a choice was made; the keys behind it are not pressed. */
export function play(given: PickerFacts | PickerState, pressed: string, size: ScreenSize = SIZE): Played {
  let state = "facts" in given ? given : openPicker(given);
  let password: string | undefined;
  for (const key of keys(pressed)) {
    const now = step(state, { type: "key", key, page: pageRows(state, size), reach: reachOf(state, size, LOOKS) });
    state = now.state;
    password = now.password?.text ?? password;
    if (now.choice !== undefined) return { state, choice: now.choice, password };
  }
  return { state, choice: undefined, password };
}

/** The screen as text, its rows as long as they are. */
export function screen(state: PickerState, size: ScreenSize = SIZE, looks: Looks = LOOKS): string[] {
  return frameOf(render(state, size, looks), size, looks).map((row) => row.map(({ text }) => text).join(""));
}

export const widest = (rows: readonly string[]): number => Math.max(0, ...rows.map((row) => columnsOf(row, LOOKS)));
