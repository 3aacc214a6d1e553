/**
 * The picker as lines for a screen of any size. What does not fit is left out from the least important on: the verdicts' column, the sizes', the
 * lines about the marked image, the help, the title. A list shows whole pages, so that a slow line has two rows to draw for one step, and not all.
 */
import {
  CYAN,
  columnsOf,
  fitted,
  type Line,
  type Looks,
  RED,
  type ScreenSize,
  type Span,
  wrapped,
  YELLOW,
} from "../../formats/terminal-frame.ts";
import type { PickerImage } from "./facts.ts";
import { CHANGEABLE, ORIGIN_WORDS, settingsInForce, titleOf, valueText } from "./settings.ts";
import { currentImage, IMAGE_ROWS, type ImageRow, imageAt, type Page, type PickerState, topPage, whyUnbootable } from "./state.ts";
import { detailText, sessionsOf, sizeText, summaryLines, verdictColour, verdictText } from "./texts.ts";

/** From how many rows on there is room for these. */
const TITLE_ROWS = 4;
const HELP_ROWS = 6;
const SUMMARY_ROWS = 14;
const WHOLE_SUMMARY_ROWS = 22;
const SIZE_COLUMNS = 34;
const VERDICT_COLUMNS = 60;

interface View {
  readonly title: string;
  /** Right of the title. */
  readonly aside: string;
  readonly body: readonly Line[];
  readonly below: readonly Line[];
  readonly help: string;
}

export function render(state: PickerState, size: ScreenSize, looks: Looks): readonly Line[] {
  const { title, aside, body, below, help } = viewOf(state, size, looks);
  const { columns, rows } = size;
  const hasHelp = rows >= HELP_ROWS;
  const message: Line[] =
    state.message === undefined ? [] : [[{ text: fitted(state.message, columns, looks), style: { bold: true, colour: YELLOW } }]];
  const helpLine: Line = [{ text: fitted(help, columns, looks), style: { colour: CYAN } }];
  const bodyRows = pageRows(state, size) + (topPage(state) === undefined ? searchRows(size) : 0) - (hasHelp ? 0 : message.length);
  return [
    ...(rows >= TITLE_ROWS ? [titleLine(title, aside, columns, looks)] : []),
    ...filled(body, Math.max(1, bodyRows)),
    ...filled(below, belowRows(state, size)),
    ...(hasHelp ? [message[0] ?? helpLine] : message),
  ].slice(0, rows);
}

const filled = (lines: readonly Line[], rows: number): readonly Line[] => [
  ...lines.slice(0, rows),
  ...Array.from({ length: Math.max(0, rows - lines.length) }, (): Line => []),
];

/** What is wrong with the stick stands before what is known of the image: so many of such lines. */
const NOTES_MAX = 2;
/** A rule, and what is known of an image. */
const SUMMARY_LINES = 8;

/** As many for every image: a list whose pages begin elsewhere for each would be drawn anew at each step. */
function belowRows(state: PickerState, { rows }: ScreenSize): number {
  if (topPage(state) !== undefined || rows < SUMMARY_ROWS) return 0;
  const wanted = (state.facts.images.length === 0 ? 1 : SUMMARY_LINES) + Math.min(NOTES_MAX, state.facts.notes.length);
  return rows < WHOLE_SUMMARY_ROWS ? Math.min(SUMMARY_LINES, wanted) : wanted;
}

/** The height of the list or text that is shown now: what a page key jumps over. */
export function pageRows(state: PickerState, size: ScreenSize): number {
  const others = (size.rows >= TITLE_ROWS ? 1 : 0) + (size.rows >= HELP_ROWS ? 1 : 0) + belowRows(state, size);
  return Math.max(1, size.rows - others - (topPage(state) === undefined ? searchRows(size) : 0));
}

/** The last row at which a text that is read may begin. */
export function reachOf(state: PickerState, size: ScreenSize, looks: Looks): number {
  const page = topPage(state);
  if (page?.type !== "details" && page?.type !== "sessions") return 0;
  return Math.max(0, textOf(state, page, size, looks).length - pageRows(state, size));
}

function titleLine(title: string, aside: string, columns: number, looks: Looks): Line {
  const right = columnsOf(aside, looks) + 2 > columns / 2 ? "" : aside;
  const room = columns - columnsOf(right, looks) - (right === "" ? 1 : 3);
  const left = fitted(title, room, looks);
  return [{ text: ` ${padded(left, room, looks)}${right === "" ? "" : ` ${right} `}`, style: { reverse: true } }];
}

const padded = (text: string, columns: number, looks: Looks): string => text + " ".repeat(Math.max(0, columns - columnsOf(text, looks)));

function viewOf(state: PickerState, size: ScreenSize, looks: Looks): View {
  const page = topPage(state);
  if (page === undefined) return listView(state, size, looks);
  const name = "path" in page ? (imageAt(state.facts, page.path)?.title ?? page.path) : state.facts.title;
  const place = { columns: size.columns, rows: pageRows(state, size), looks };
  const view = (help: string, body: readonly Line[], title = name): View => ({ title, aside: "", body, below: [], help });
  const plain = (text: string): readonly Span[] => [{ text }];
  switch (page.type) {
    case "image":
      return view("Enter choose  ←→ change  Del as configured  Esc back", imageLines(state, page, place));
    case "values": {
      const { setting, values, selected } = page;
      const title = `${titleOf(CHANGEABLE.find((one) => one.setting === setting)!)} of ${name}`;
      return view(
        "Enter choose  Esc back",
        listed(values, (value) => plain(value ?? "as it is configured"), selected, place),
        title,
      );
    }
    case "entries": {
      const names = ["as it is configured", ...(imageAt(state.facts, page.path)?.entries ?? []).map((entry) => entry.name)];
      return view("Enter boot with it  Esc back", listed(names, plain, page.selected, place), `which of ${name}`);
    }
    case "line":
      return view("Enter take it  Ctrl-U empty  Esc back", lineLines(page, size, looks));
    case "details":
    case "sessions":
      return view("↑↓ PgUp PgDn read  Esc back", textOf(state, page, size, looks).slice(Math.min(page.top, reachOf(state, size, looks))));
    case "password":
      return view("Enter take it  Ctrl-U empty  Esc back", passwordLines(page, looks), `password of ${name}`);
    case "doubt": {
      const text = `It does not look as if it could boot: ${page.because}.`;
      const lines = wrapped(text, size.columns, looks).map((part): Line => [{ text: part, style: { colour: RED } }]);
      return view("Enter boot it all the same  Esc back", lines);
    }
    case "leave": {
      const titles = state.facts.waysOut.map(({ title }) => title);
      return view("Enter choose  Esc back", listed(titles, plain, page.selected, place));
    }
  }
}

/** The search line, and what is to be known of the stick. */
const searchRows = ({ rows }: ScreenSize): 0 | 1 => (rows >= TITLE_ROWS ? 1 : 0);

function listView(state: PickerState, size: ScreenSize, looks: Looks): View {
  const { facts, search, found } = state;
  const { columns } = size;
  const image = currentImage(state);
  const notes = facts.notes.slice(0, NOTES_MAX).map((text, index): Line => {
    const more = index === NOTES_MAX - 1 && facts.notes.length > NOTES_MAX ? ` (and ${facts.notes.length - NOTES_MAX} more)` : "";
    return [{ text: fitted(`${text}${more}`, columns, looks), style: { colour: YELLOW } }];
  });
  const count = search === "" ? "" : `${found.length} of ${facts.images.length}`;
  const none = facts.images.length === 0 ? "There are no images on this stick." : "No image has all of these words.";
  const place = { columns, rows: pageRows(state, size), looks };
  const list =
    found.length === 0 ? [[{ text: none }]] : listed(found, (one) => imageSpans(state, one, columns - 2, looks), state.selected, place);
  return {
    title: `hiperiso: pick an image of ${facts.title}`,
    aside: facts.freeBytes === undefined ? "" : `${sizeText(facts.freeBytes)} free`,
    body: [...(searchRows(size) === 0 ? [] : [searchLine(search, count, columns, looks)]), ...list],
    below: [[{ text: "─".repeat(columns) }], ...notes, ...(image === undefined ? [] : summaryLines(state, image))],
    help: "Enter boot  → settings, details  Tab sessions  letters search  Esc leave",
  };
}

function searchLine(search: string, count: string, columns: number, looks: Looks): Line {
  const room = columns - columnsOf(count, looks) - 9;
  const shown = fitted(search, Math.max(0, room - 1), looks);
  return [
    { text: "search: " },
    { text: `${shown}_`, style: { bold: true } },
    { text: `${" ".repeat(Math.max(1, room - columnsOf(shown, looks)))}${count}` },
  ];
}

/** Title, size, last verdict: as many of them as there is room for. */
function imageSpans(state: PickerState, image: PickerImage, columns: number, looks: Looks): readonly Span[] {
  const hasSize = columns >= SIZE_COLUMNS;
  const hasVerdict = columns >= VERDICT_COLUMNS;
  const [last] = sessionsOf(state, image.path);
  const room = columns - (hasSize ? 11 : 0) - (hasVerdict ? 14 : 0);
  const isBad = image.state === "missing" || whyUnbootable(state.looks.get(image.path)) !== undefined;
  const word =
    image.state === "missing"
      ? "gone"
      : isBad
        ? "cannot boot"
        : last === undefined
          ? ""
          : last.state === "cut off"
            ? "cut off"
            : (last.result ?? "");
  return [
    { text: padded(fitted(image.title, room, looks), room, looks), style: isBad ? { colour: RED } : {} },
    ...(hasSize ? [{ text: `  ${sizeText(image.sizeBytes).padStart(9)}` }] : []),
    ...(hasVerdict ? [{ text: `  ${word}`, style: { colour: isBad || last === undefined ? RED : verdictColour(last) } }] : []),
  ];
}

/** The page of the list on which the mark stands. The mark is a sign as well as a style: some terminals show no style. */
function listed<Row>(rows: readonly Row[], spansOf: (row: Row) => readonly Span[], selected: number, place: ListPlace): readonly Line[] {
  const { looks, columns } = place;
  const perPage = Math.max(1, place.rows);
  const first = Math.floor(selected / perPage) * perPage;
  return rows.slice(first, first + perPage).map((row, index): Line => {
    const spans = spansOf(row);
    if (first + index !== selected) return [{ text: "  " }, ...spans];
    const used = spans.reduce((sum, { text }) => sum + columnsOf(text, looks), 2);
    return [
      { text: "» ", style: { reverse: true } },
      ...spans.map(({ text }) => ({ text, style: { reverse: true } })),
      { text: " ".repeat(Math.max(0, columns - used)), style: { reverse: true } },
    ];
  });
}

interface ListPlace extends ScreenSize {
  readonly looks: Looks;
}

function imageLines(state: PickerState, page: Extract<Page, { type: "image" }>, place: ListPlace): readonly Line[] {
  const { looks, columns } = place;
  const { settings, origin } = settingsInForce(state.facts, page.path, state.changed.get(page.path) ?? {});
  const spansOf = (row: ImageRow): readonly Span[] => {
    if (row.type !== "setting") return [{ text: rowTitle(state, page.path, row), style: { bold: row.type === "boot" } }];
    const { parameter } = row;
    const from = ORIGIN_WORDS[origin[parameter.setting]];
    const value = valueText(parameter, settings[parameter.setting]);
    const name = titleOf(parameter).padEnd(Math.min(16, Math.max(0, columns - 20)));
    const room = columns - 4 - columnsOf(name, looks) - (from === "" ? 0 : from.length + 2);
    return [
      { text: `${name}  ` },
      { text: fitted(value, Math.max(1, room), looks), style: { bold: origin[parameter.setting] === "flag" } },
      ...(from === "" ? [] : [{ text: `  ${from}`, style: { colour: CYAN } }]),
    ];
  };
  return listed(IMAGE_ROWS, spansOf, page.selected, place);
}

function rowTitle(state: PickerState, path: string, row: Exclude<ImageRow, { type: "setting" }>): string {
  if (row.type === "boot") return row.emulated ? "Boot, recorded, emulated (KVM is not tried)" : "Boot, recorded";
  if (row.type === "details") return "Details";
  return `Sessions (${sessionsOf(state, path).length})`;
}

function lineLines(page: Extract<Page, { type: "line" }>, { columns }: ScreenSize, looks: Looks): readonly Line[] {
  const parameter = CHANGEABLE.find(({ setting }) => setting === page.setting)!;
  return [
    [{ text: `${titleOf(parameter)}: ${parameter.help}` }],
    [{ text: `${fitted(page.text, columns - 1, looks)}_`, style: { bold: true } }],
    ...(page.problem === undefined ? [] : wrapped(page.problem, columns, looks).map((text): Line => [{ text, style: { colour: RED } }])),
  ];
}

function passwordLines({ text, state }: Extract<Page, { type: "password" }>, looks: Looks): readonly Line[] {
  const stars = "*".repeat(columnsOf(text, looks));
  const said = state === "tried" ? "Looking" : state === "wrong" ? "That is not its password." : "";
  return [[{ text: `${stars}_`, style: { bold: true } }], [{ text: said, ...(state === "wrong" ? { style: { colour: RED } } : {}) }]];
}

function textOf(
  state: PickerState,
  page: Extract<Page, { type: "details" | "sessions" }>,
  { columns }: ScreenSize,
  looks: Looks,
): readonly Line[] {
  if (page.type === "details") {
    const image = imageAt(state.facts, page.path);
    if (image === undefined) return [];
    return detailText(state, image)
      .split("\n")
      .flatMap((text): Line[] => (text === "" ? [[]] : wrapped(text, columns, looks).map((line) => [{ text: line }])));
  }
  const sessions = sessionsOf(state, page.imagePath);
  if (sessions.length === 0) return [[{ text: "Nothing was booted yet." }]];
  return sessions.map((session): Line => {
    const when = session.startUtc.slice(0, 16).replace("T", " ");
    const name = imageAt(state.facts, session.imagePath)?.title ?? session.imagePath;
    const verdict = verdictText(session);
    const room = columns - 16 - 2 - 2 - columnsOf(verdict, looks);
    return room >= 10 && page.imagePath === undefined
      ? [
          { text: `${when}  ${padded(fitted(name, room, looks), room, looks)}  ` },
          { text: verdict, style: { colour: verdictColour(session) } },
        ]
      : [{ text: `${when}  ` }, { text: fitted(verdict, Math.max(1, columns - 18), looks), style: { colour: verdictColour(session) } }];
  });
}
