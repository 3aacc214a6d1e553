/**
 * The picker as a value, and what each key makes of it. A list of images with a search line; over it pages: one image with its settings, a list
 * of values, a line to type, a text to read, the sessions, the ways out. Nothing here reads, waits or draws.
 */
import type { SettingValues } from "../../config/settings.ts";
import type { Parameter, SettingName } from "../../contract/parameters.ts";
import type { Key } from "../../formats/terminal-keys.ts";
import type { ImageLook, ListedSetting, PickerChoice, PickerFacts, PickerImage, PickerSession } from "./facts.ts";
import { CHANGEABLE, settingsInForce, stepped, typedValue } from "./settings.ts";

export interface PickerState {
  readonly facts: PickerFacts;
  /** As typed. */
  readonly search: string;
  /** Images of which title or path hold every word of the search, in their order. */
  readonly found: readonly PickerImage[];
  /** Index among those; 0 where there are none. */
  readonly selected: number;
  /** What lies over the list, the topmost last. */
  readonly pages: readonly Page[];
  /** What is searched, of each image in their order: made once, since there may be thousands. */
  readonly texts: readonly string[];
  /** By path, newest first. */
  readonly sessions: ReadonlyMap<string, readonly PickerSession[]>;
  /** By path: what was changed for this once. */
  readonly changed: ReadonlyMap<string, SettingValues>;
  /** By path: what was found in images that somebody looked at. */
  readonly looks: ReadonlyMap<string, ImageLook>;
  /** Paths of images whose password was given. */
  readonly opened: ReadonlySet<string>;
  /** One line, until the next key. */
  readonly message: string | undefined;
}

export type Page =
  | { readonly type: "image"; readonly path: string; readonly selected: number }
  | {
      readonly type: "values";
      readonly path: string;
      readonly setting: ListedSetting;
      readonly values: readonly (string | undefined)[];
      readonly selected: number;
    }
  /** Which of its entries; row 0 stands for none of them. */
  | { readonly type: "entries"; readonly path: string; readonly selected: number; readonly emulated: boolean }
  | {
      readonly type: "line";
      readonly path: string;
      readonly setting: SettingName;
      readonly text: string;
      readonly problem: string | undefined;
    }
  | { readonly type: "details"; readonly path: string; readonly top: number }
  | { readonly type: "sessions"; readonly imagePath: string | undefined; readonly top: number }
  | {
      readonly type: "password";
      readonly path: string;
      readonly text: string;
      readonly emulated: boolean;
      readonly state: "typed" | "tried" | "wrong";
    }
  /** What speaks against booting it, and once more Enter. */
  | { readonly type: "doubt"; readonly path: string; readonly because: string; readonly emulated: boolean }
  | { readonly type: "leave"; readonly selected: number };

/** What the rows of an image's page do. */
export type ImageRow =
  | { readonly type: "boot"; readonly emulated: boolean }
  | { readonly type: "setting"; readonly parameter: Parameter }
  | { readonly type: "details" }
  | { readonly type: "sessions" };

export const IMAGE_ROWS: readonly ImageRow[] = [
  { type: "boot", emulated: false },
  { type: "boot", emulated: true },
  { type: "details" },
  { type: "sessions" },
  ...CHANGEABLE.map((parameter) => ({ type: "setting", parameter }) as const),
];

export type PickerEvent =
  /** `page`: rows that a page key jumps over. `reach`: the last row at which a text that is read may begin. Both by the screen it was pressed at. */
  | { readonly type: "key"; readonly key: Key; readonly page: number; readonly reach: number }
  | { readonly type: "look"; readonly path: string; readonly look: ImageLook }
  | { readonly type: "password"; readonly path: string; readonly fits: boolean };

export interface Stepped {
  readonly state: PickerState;
  /** To be tried; the answer comes as an event. */
  readonly password?: { readonly path: string; readonly text: string };
  /** The picker is over. */
  readonly choice?: PickerChoice;
}

export function openPicker(facts: PickerFacts, marked?: string): PickerState {
  const sessions = new Map<string, PickerSession[]>();
  for (const session of facts.sessions) {
    const others = sessions.get(session.imagePath);
    if (others === undefined) sessions.set(session.imagePath, [session]);
    else others.push(session);
  }
  return {
    facts,
    search: "",
    found: facts.images,
    selected: Math.max(
      0,
      facts.images.findIndex(({ path }) => path === marked),
    ),
    pages: [],
    texts: facts.images.map(({ title, path }) => folded(`${title}\n${path}`)),
    sessions,
    changed: new Map(),
    looks: new Map(),
    opened: new Set(),
    message: undefined,
  };
}

export const topPage = ({ pages }: PickerState): Page | undefined => pages.at(-1);

const SEARCH_MAX = 200;

/** Lower case and without accents: what people type is not what is on the disk. */
export const folded = (text: string): string => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

export const imageAt = (facts: PickerFacts, path: string): PickerImage | undefined => facts.images.find((image) => image.path === path);

/** The image that the person looks at; undefined where none matches. */
export function currentImage(state: PickerState): PickerImage | undefined {
  const page = topPage(state);
  return page !== undefined && "path" in page ? imageAt(state.facts, page.path) : state.found[state.selected];
}

/** An image that is looked at and of which nothing is known yet. */
export function wantedLook(state: PickerState): string | undefined {
  const image = currentImage(state);
  return image === undefined || image.state === "missing" || state.looks.has(image.path) ? undefined : image.path;
}

/** Why no firmware that we have would start it; undefined where one would, or nobody has looked. */
export function whyUnbootable(look: ImageLook | undefined): string | undefined {
  if (look === undefined) return undefined;
  if (look.type === "unreadable") return look.because;
  const { bios, uefi } = look.facts.boots;
  const answers = [uefi.cd, uefi.usb, bios.cd, bios.usb];
  return answers.some(({ can }) => can) || look.menus.standard !== null ? undefined : answers[0]!.because;
}

export function step(state: PickerState, event: PickerEvent): Stepped {
  if (event.type === "look") return { state: { ...state, looks: new Map(state.looks).set(event.path, event.look) } };
  if (event.type === "password") return passwordTried(state, event);
  const { key, page: pageRows, reach } = event;
  if (key.type === "position") return { state };
  const fresh = { ...state, message: undefined };
  if (key.type === "named" && key.name === "ctrl-c") return leaveBy(fresh, fresh.facts.waysOut.length - 1);
  const page = topPage(fresh);
  if (page === undefined) return listKey(fresh, key, pageRows);
  switch (page.type) {
    case "image":
      return imageKey(fresh, page, key, pageRows);
    case "entries":
      return entriesKey(fresh, page, key, pageRows);
    case "values":
      return valuesKey(fresh, page, key, pageRows);
    case "line":
      return lineKey(fresh, page, key);
    case "details":
    case "sessions":
      return readingKey(fresh, page, key, { pageRows, reach });
    case "password":
      return passwordKey(fresh, page, key);
    case "doubt":
      if (isNamed(key, "enter")) return boot(closePage(fresh), page.path, { emulated: page.emulated, isSure: true });
      return isBack(key) ? { state: closePage(fresh) } : { state: fresh };
    case "leave":
      return leaveKey(fresh, page, key);
  }
}

type PressedKey = Exclude<Key, { type: "position" }>;

const isNamed = (key: PressedKey, ...names: readonly string[]): boolean => key.type === "named" && names.includes(key.name);
const isBack = (key: PressedKey): boolean => isNamed(key, "escape", "left", "backspace");

const openPage = (state: PickerState, page: Page): PickerState => ({ ...state, pages: [...state.pages, page] });
const closePage = (state: PickerState): PickerState => ({ ...state, pages: state.pages.slice(0, -1) });
const changePage = (state: PickerState, page: Page): PickerState => ({ ...state, pages: [...state.pages.slice(0, -1), page] });

/** Where a key moves a mark to, of `count` rows; undefined where it is no such key. */
function moved(selected: number, count: number, key: PressedKey, pageRows: number): number | undefined {
  if (key.type !== "named") return undefined;
  const to: Readonly<Record<string, number>> = {
    up: selected - 1,
    "ctrl-p": selected - 1,
    down: selected + 1,
    "ctrl-n": selected + 1,
    "page up": selected - pageRows,
    "ctrl-b": selected - pageRows,
    "page down": selected + pageRows,
    "ctrl-f": selected + pageRows,
    home: 0,
    end: count - 1,
  };
  const wanted = to[key.name];
  return wanted === undefined ? undefined : Math.max(0, Math.min(count - 1, wanted));
}

function listKey(state: PickerState, key: PressedKey, pageRows: number): Stepped {
  const selected = moved(state.selected, state.found.length, key, pageRows);
  if (selected !== undefined) return { state: { ...state, selected } };
  if (key.type === "text") return { state: searched(state, state.search + key.text) };
  const image = currentImage(state);
  switch (key.name) {
    case "backspace":
      return { state: searched(state, [...state.search].slice(0, -1).join("")) };
    case "ctrl-u":
    case "ctrl-w":
      return { state: searched(state, key.name === "ctrl-u" ? "" : state.search.trimEnd().replace(/[^ ]*$/, "")) };
    case "escape":
      return { state: state.search === "" ? openPage(state, { type: "leave", selected: 0 }) : searched(state, "") };
    case "f10":
      return { state: openPage(state, { type: "leave", selected: 0 }) };
    case "tab":
    case "f3":
      return { state: openPage(state, { type: "sessions", imagePath: undefined, top: 0 }) };
    case "enter":
      return image === undefined ? { state } : boot(state, image.path, { emulated: false });
    case "right":
    case "f2":
      return image === undefined ? { state } : { state: openPage(state, { type: "image", path: image.path, selected: 0 }) };
    default:
      return { state };
  }
}

/** The image that was marked stays so where it still matches. */
function searched(state: PickerState, search: string): PickerState {
  if (search.length > SEARCH_MAX) return state;
  const words = folded(search)
    .split(" ")
    .filter((word) => word !== "");
  const found = state.facts.images.filter((_, index) => words.every((word) => state.texts[index]?.includes(word)));
  const marked = state.found[state.selected];
  return { ...state, search, found, selected: Math.max(0, marked === undefined ? 0 : found.indexOf(marked)) };
}

function imageKey(state: PickerState, page: Extract<Page, { type: "image" }>, key: PressedKey, pageRows: number): Stepped {
  const selected = moved(page.selected, IMAGE_ROWS.length, key, pageRows);
  if (selected !== undefined) return { state: changePage(state, { ...page, selected }) };
  const row = IMAGE_ROWS[page.selected]!;
  if (isNamed(key, "escape", "f10")) return { state: closePage(state) };
  if (row.type !== "setting") {
    if (isNamed(key, "left", "backspace")) return { state: closePage(state) };
    if (!isNamed(key, "enter", "right")) return { state };
    if (row.type === "boot") return isNamed(key, "enter") ? boot(state, page.path, row) : { state };
    if (row.type === "details") return { state: openPage(state, { type: "details", path: page.path, top: 0 }) };
    return { state: openPage(state, { type: "sessions", imagePath: page.path, top: 0 }) };
  }
  const { parameter } = row;
  if (isNamed(key, "delete", "backspace")) return { state: change(state, page.path, parameter.setting, undefined) };
  const isText = key.type === "text" && key.text !== " " && (parameter.value.type === "integer" || parameter.value.type === "text");
  if (isText)
    return { state: openPage(state, { type: "line", path: page.path, setting: parameter.setting, text: key.text, problem: undefined }) };
  const direction = isNamed(key, "left") ? -1 : isNamed(key, "right", "enter") || (key.type === "text" && key.text === " ") ? 1 : undefined;
  if (direction === undefined) return { state };
  const current = settingsInForce(state.facts, page.path, state.changed.get(page.path) ?? {}).settings[parameter.setting];
  if (isNamed(key, "enter") && parameter.value.type === "integer")
    return {
      state: openPage(state, {
        type: "line",
        path: page.path,
        setting: parameter.setting,
        text: String(current ?? ""),
        problem: undefined,
      }),
    };
  const next = stepped(parameter, current, direction);
  if (next !== undefined) return { state: change(state, page.path, parameter.setting, next) };
  return isNamed(key, "left") ? { state } : { state: chooseOrType(state, page.path, parameter, current) };
}

/** A list of the files that could be meant where there are any; a line to type otherwise. */
function chooseOrType(state: PickerState, path: string, { setting }: Parameter, current: unknown): PickerState {
  const files = state.facts.files[setting as ListedSetting] ?? [];
  const values = [undefined, ...files];
  if (values.length > 1) {
    const selected = Math.max(0, values.indexOf(current as string | undefined));
    return openPage(state, { type: "values", path, setting: setting as ListedSetting, values, selected });
  }
  return openPage(state, { type: "line", path, setting, text: typeof current === "string" ? current : "", problem: undefined });
}

/** undefined: as it is configured. */
function change(state: PickerState, path: string, setting: SettingName, value: unknown): PickerState {
  const { [setting]: _, ...others } = { ...state.changed.get(path) };
  const values = value === undefined ? others : { ...others, [setting]: value };
  return { ...state, changed: new Map(state.changed).set(path, values) };
}

function valuesKey(state: PickerState, page: Extract<Page, { type: "values" }>, key: PressedKey, pageRows: number): Stepped {
  const selected = moved(page.selected, page.values.length, key, pageRows);
  if (selected !== undefined) return { state: changePage(state, { ...page, selected }) };
  if (isBack(key)) return { state: closePage(state) };
  if (!isNamed(key, "enter", "right")) return { state };
  return { state: change(closePage(state), page.path, page.setting, page.values[page.selected]) };
}

function entriesKey(state: PickerState, page: Extract<Page, { type: "entries" }>, key: PressedKey, pageRows: number): Stepped {
  const entries = imageAt(state.facts, page.path)?.entries ?? [];
  const selected = moved(page.selected, entries.length + 1, key, pageRows);
  if (selected !== undefined) return { state: changePage(state, { ...page, selected }) };
  if (isBack(key)) return { state: closePage(state) };
  if (!isNamed(key, "enter", "right")) return { state };
  return boot(state, page.path, { emulated: page.emulated, isSure: true, entry: entries[page.selected - 1]?.settings ?? {} });
}

const LINE_MAX = 1000;

function lineKey(state: PickerState, page: Extract<Page, { type: "line" }>, key: PressedKey): Stepped {
  const typed = (text: string): Stepped => ({ state: changePage(state, { ...page, text, problem: undefined }) });
  if (key.type === "text") return page.text.length >= LINE_MAX ? { state } : typed(page.text + key.text);
  switch (key.name) {
    case "backspace":
      return typed([...page.text].slice(0, -1).join(""));
    case "ctrl-u":
      return typed("");
    case "escape":
      return { state: closePage(state) };
    case "enter": {
      const parameter = CHANGEABLE.find(({ setting }) => setting === page.setting);
      if (parameter === undefined || page.text === "") return { state: change(closePage(state), page.path, page.setting, undefined) };
      const answer = typedValue(parameter, page.text);
      if ("problem" in answer) return { state: changePage(state, { ...page, problem: answer.problem }) };
      return { state: change(closePage(state), page.path, page.setting, answer.value) };
    }
    default:
      return { state };
  }
}

interface Reading {
  readonly pageRows: number;
  readonly reach: number;
}

function readingKey(
  state: PickerState,
  page: Extract<Page, { type: "details" | "sessions" }>,
  key: PressedKey,
  { pageRows, reach }: Reading,
): Stepped {
  const top = moved(Math.min(page.top, reach), reach + 1, key, pageRows);
  if (top !== undefined) return { state: changePage(state, { ...page, top }) };
  return isBack(key) || isNamed(key, "enter", "tab", "f10") ? { state: closePage(state) } : { state };
}

function passwordKey(state: PickerState, page: Extract<Page, { type: "password" }>, key: PressedKey): Stepped {
  const typed = (text: string): Stepped => ({ state: changePage(state, { ...page, text, state: "typed" }) });
  if (page.state === "tried") return isNamed(key, "escape") ? { state: closePage(state) } : { state };
  if (key.type === "text") return page.text.length >= LINE_MAX ? { state } : typed(page.text + key.text);
  if (key.name === "backspace") return typed([...page.text].slice(0, -1).join(""));
  if (key.name === "ctrl-u") return typed("");
  if (key.name === "escape") return { state: closePage(state) };
  if (key.name !== "enter" || page.text === "") return { state };
  return { state: changePage(state, { ...page, state: "tried" }), password: { path: page.path, text: page.text } };
}

function passwordTried(state: PickerState, { path, fits }: Extract<PickerEvent, { type: "password" }>): Stepped {
  const page = topPage(state);
  // The person has gone back meanwhile.
  if (page?.type !== "password" || page.path !== path || page.state !== "tried") return { state };
  if (!fits) return { state: changePage(state, { ...page, text: "", state: "wrong" }) };
  return boot({ ...closePage(state), opened: new Set(state.opened).add(path) }, path, { emulated: page.emulated, isSure: true });
}

function leaveKey(state: PickerState, page: Extract<Page, { type: "leave" }>, key: PressedKey): Stepped {
  const selected = moved(page.selected, state.facts.waysOut.length, key, 1);
  if (selected !== undefined) return { state: changePage(state, { ...page, selected }) };
  if (isBack(key)) return { state: closePage(state) };
  return isNamed(key, "enter", "right") ? leaveBy(state, page.selected) : { state };
}

function leaveBy(state: PickerState, index: number): Stepped {
  const way = state.facts.waysOut[index];
  return way === undefined ? { state } : { state, choice: { type: "leave", way: way.id } };
}

interface BootWish {
  readonly emulated: boolean;
  /** The person has read what speaks against it. */
  readonly isSure?: boolean;
  /** Settings of the entry that was chosen; undefined: nobody was asked yet. */
  readonly entry?: SettingValues;
}

/** Asks what there is to ask first; with all answered it is the choice. */
function boot(state: PickerState, path: string, { emulated, isSure = false, entry }: BootWish): Stepped {
  const image = imageAt(state.facts, path);
  if (image === undefined) return { state };
  if (image.state === "missing") return { state: { ...state, message: `${image.title} is gone from the stick.` } };
  const because = whyUnbootable(state.looks.get(path));
  if (because !== undefined && !isSure) return { state: openPage(state, { type: "doubt", path, because, emulated }) };
  if (image.isLocked && !state.opened.has(path))
    return { state: openPage(state, { type: "password", path, text: "", emulated, state: "typed" }) };
  if (image.entries.length > 0 && entry === undefined) return { state: openPage(state, { type: "entries", path, selected: 0, emulated }) };
  const settings = { ...state.facts.said, ...entry, ...state.changed.get(path), ...(emulated ? { fallback: true } : {}) };
  return { state, choice: { type: "boot", path, settings } };
}
