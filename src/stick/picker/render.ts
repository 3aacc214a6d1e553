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
import { currentImage, IMAGE_ROWS, type ImageRow, imageAt, matches, type Page, type PickerState, topPage, whyUnbootable } from "./state.ts";
import { detailText, sessionsOf, sizeText, summaryLines, verdictColour, verdictText } from "./texts.ts";

/** From how many rows on there is room for these. */
const TITLE_ROWS = 4;
const HELP_ROWS = 6;
const SUMMARY_ROWS = 14;
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
  const parts = partsOf(size);
  const message: Line[] =
    state.message === undefined ? [] : [[{ text: fitted(state.message, columns, looks), style: { bold: true, colour: YELLOW } }]];
  const bodyRows = bodyRowsOf(size, below.length) - (parts.help === 0 ? message.length : 0);
  const shown = body.slice(0, Math.max(1, bodyRows));
  return [
    ...(parts.title === 0 ? [] : [titleLine(title, aside, columns, looks)]),
    ...shown,
    ...Array.from({ length: Math.max(0, bodyRows - shown.length) }, (): Line => []),
    ...(below.length === 0 || !parts.summary ? [] : below.slice(0, summaryMax(size))),
    ...(parts.help === 0 ? message : [message[0] ?? ([{ text: fitted(help, columns, looks), style: { colour: CYAN } }] as Line)]),
  ].slice(0, rows);
}

/** What is wrong with the stick stands before what is known of the image: so many of such lines. */
const NOTES_MAX = 2;
const summaryMax = ({ rows }: ScreenSize): number => (rows >= 22 ? 8 + NOTES_MAX : 8);

const partsOf = ({ rows }: ScreenSize): { readonly title: 0 | 1; readonly help: 0 | 1; readonly summary: boolean } => ({
  title: rows >= TITLE_ROWS ? 1 : 0,
  help: rows >= HELP_ROWS ? 1 : 0,
  summary: rows >= SUMMARY_ROWS,
});

function bodyRowsOf(size: ScreenSize, belowLines: number): number {
  const { title, help, summary } = partsOf(size);
  return Math.max(1, size.rows - title - help - (summary ? Math.min(belowLines, summaryMax(size)) : 0));
}

/** The height of the list or text that is shown now: what a page key jumps over. */
export const pageRows = (state: PickerState, size: ScreenSize, looks: Looks): number => {
  const view = viewOf(state, size, looks);
  return Math.max(1, bodyRowsOf(size, view.below.length) - (topPage(state) === undefined ? searchRows(size) : 0));
};

/** The last row at which a text that is read may begin. */
export function reachOf(state: PickerState, size: ScreenSize, looks: Looks): number {
  const page = topPage(state);
  if (page?.type !== "details" && page?.type !== "sessions") return 0;
  return Math.max(0, textOf(state, page, size, looks).length - bodyRowsOf(size, 0));
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
  const view = (help: string, body: readonly Line[], title = name): View => ({ title, aside: "", body, below: [], help });
  switch (page.type) {
    case "image":
      return view("Enter choose  ←→ change  Del as configured  Esc back", imageLines(state, page, size, looks));
    case "values":
      return view(
        "Enter choose  Esc back",
        listed(
          page.values.map((value) => [{ text: value ?? "without" }]),
          page.selected,
          bodyRowsOf(size, 0),
          size.columns,
          looks,
        ),
        `${titleOf(CHANGEABLE.find(({ setting }) => setting === page.setting)!)} of ${name}`,
      );
    case "entries": {
      const entries = imageAt(state.facts, page.path)?.entries ?? [];
      const rows = ["as it is configured", ...entries.map((entry) => entry.name)].map((text) => [{ text }]);
      return view(
        "Enter boot with it  Esc back",
        listed(rows, page.selected, bodyRowsOf(size, 0), size.columns, looks),
        `which of ${name}`,
      );
    }
    case "line":
      return view("Enter take it  Ctrl-U empty  Esc back", lineLines(page, size, looks));
    case "details":
    case "sessions":
      return view("↑↓ PgUp PgDn read  Esc back", textOf(state, page, size, looks).slice(Math.min(page.top, reachOf(state, size, looks))));
    case "password":
      return view("Enter take it  Ctrl-U empty  Esc back", passwordLines(page, looks), `password of ${name}`);
    case "doubt":
      return view("Enter boot it all the same  Esc back", [
        ...wrapped(`It does not look as if it could boot: ${page.because}.`, size.columns, looks).map(
          (text): Line => [{ text, style: { colour: RED } }],
        ),
      ]);
    case "leave":
      return view(
        "Enter choose  Esc back",
        listed(
          state.facts.waysOut.map(({ title }) => [{ text: title }]),
          page.selected,
          bodyRowsOf(size, 0),
          size.columns,
          looks,
        ),
      );
  }
}

/** The search line, and what is to be known of the stick. */
const searchRows = ({ rows }: ScreenSize): 0 | 1 => (rows >= TITLE_ROWS ? 1 : 0);

function listView(state: PickerState, size: ScreenSize, looks: Looks): View {
  const { facts, search } = state;
  const found = matches(state);
  const image = currentImage(state);
  const notes = facts.notes.slice(0, NOTES_MAX).map((text, index): Line => {
    const more = index === NOTES_MAX - 1 && facts.notes.length > NOTES_MAX ? ` (and ${facts.notes.length - NOTES_MAX} more)` : "";
    return [{ text: fitted(`${text}${more}`, size.columns, looks), style: { colour: YELLOW } }];
  });
  const summary = image === undefined ? [] : summaryLines(state, image);
  const below: Line[] = notes.length + summary.length === 0 ? [] : [[{ text: "─".repeat(size.columns) }], ...notes, ...summary];
  const rows = bodyRowsOf(size, below.length) - searchRows(size);
  const free = facts.freeBytes === undefined ? "" : `${sizeText(facts.freeBytes)} free`;
  const count = search === "" ? "" : `${found.length} of ${facts.images.length}`;
  const none = facts.images.length === 0 ? "There are no images on this stick." : "No image has all of these words.";
  return {
    title: `hiperiso: pick an image of ${facts.title}`,
    aside: free,
    body: [
      ...(searchRows(size) === 0 ? [] : [searchLine(search, count, size.columns, looks)]),
      ...(found.length === 0
        ? [[{ text: none }]]
        : listed(
            found.map((one) => imageSpans(state, one, size.columns - 2, looks)),
            state.selected,
            rows,
            size.columns,
            looks,
          )),
    ],
    below,
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
  const last = sessionsOf(state.facts.sessions, image.path)[0];
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
function listed(rows: readonly (readonly Span[])[], selected: number, count: number, columns: number, looks: Looks): readonly Line[] {
  const perPage = Math.max(1, count);
  const first = Math.floor(selected / perPage) * perPage;
  return rows.slice(first, first + perPage).map((spans, index): Line => {
    if (first + index !== selected) return [{ text: "  " }, ...spans];
    const used = spans.reduce((sum, { text }) => sum + columnsOf(text, looks), 2);
    return [
      { text: "› ", style: { reverse: true } },
      ...spans.map(({ text }) => ({ text, style: { reverse: true } })),
      { text: " ".repeat(Math.max(0, columns - used)), style: { reverse: true } },
    ];
  });
}

function imageLines(state: PickerState, page: Extract<Page, { type: "image" }>, size: ScreenSize, looks: Looks): readonly Line[] {
  const { settings, origin } = settingsInForce(state.facts, page.path, state.changed.get(page.path) ?? {});
  const rows = IMAGE_ROWS.map((row): readonly Span[] => {
    if (row.type !== "setting") return [{ text: rowTitle(state, page.path, row), style: { bold: row.type === "boot" } }];
    const { parameter } = row;
    const from = ORIGIN_WORDS[origin[parameter.setting]];
    const value = valueText(parameter, settings[parameter.setting]);
    const name = titleOf(parameter).padEnd(Math.min(16, Math.max(0, size.columns - 20)));
    const room = size.columns - 4 - columnsOf(name, looks) - (from === "" ? 0 : from.length + 2);
    return [
      { text: `${name}  ` },
      { text: fitted(value, Math.max(1, room), looks), style: { bold: origin[parameter.setting] === "flag" } },
      ...(from === "" ? [] : [{ text: `  ${from}`, style: { colour: CYAN } }]),
    ];
  });
  return listed(rows, page.selected, bodyRowsOf(size, 0), size.columns, looks);
}

function rowTitle(state: PickerState, path: string, row: Exclude<ImageRow, { type: "setting" }>): string {
  if (row.type === "boot") return row.emulated ? "Boot, recorded, emulated (KVM is not tried)" : "Boot, recorded";
  if (row.type === "details") return "Details…";
  return `Sessions… (${sessionsOf(state.facts.sessions, path).length})`;
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
  const said = state === "tried" ? "Looking…" : state === "wrong" ? "That is not its password." : "";
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
  const sessions = sessionsOf(state.facts.sessions, page.imagePath);
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
