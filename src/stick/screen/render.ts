/** The recording as lines for a screen of any size: what it is and how far it is, then the guest's console or a picture of its screen, then the keys. */
import { pictureLines } from "../../formats/pixmap-text.ts";
import {
  CYAN,
  columnsOf,
  fitted,
  GREEN,
  type Line,
  type Looks,
  RED,
  type ScreenSize,
  type Span,
  YELLOW,
} from "../../formats/terminal-frame.ts";
import { timeText } from "../picker/texts.ts";
import { type RecordingState, showsPicture } from "./state.ts";

/** From how many rows on there is room for these. */
const TITLE_ROWS = 3;
const HELP_ROWS = 5;
const FACTS_ROWS = 12;
const FINDINGS_SHOWN = 3;

export function renderRecording(state: RecordingState, size: ScreenSize, looks: Looks): readonly Line[] {
  const { rows, columns } = size;
  const above = [
    ...(rows >= TITLE_ROWS ? [titleLine(state, columns, looks)] : []),
    ...(rows >= FACTS_ROWS ? factLines(state, columns, looks) : [stageLine(state)]),
  ];
  const help: Line[] = rows >= HELP_ROWS ? [helpLine(state, columns, looks)] : [];
  const room = guestRows(state, size);
  const guest = showsPicture(state) ? pictureOf(state, { columns, rows: room }, looks) : consoleOf(state, room);
  return [...above, ...guest, ...Array.from({ length: Math.max(0, room - guest.length) }, (): Line => []), ...help].slice(0, rows);
}

/** Rows for the guest's console or picture: what a page key jumps over. */
export function guestRows(state: RecordingState, { rows }: ScreenSize): number {
  const facts = rows >= FACTS_ROWS ? 2 + Math.min(FINDINGS_SHOWN, state.findings.length) + (state.notes.length > 0 ? 1 : 0) : 1;
  return Math.max(0, rows - facts - (rows >= TITLE_ROWS ? 1 : 0) - (rows >= HELP_ROWS ? 1 : 0));
}

function titleLine({ title, elapsedMs, ended }: RecordingState, columns: number, looks: Looks): Line {
  const time = timeText(elapsedMs);
  const room = columns - columnsOf(time, looks) - 3;
  const text = fitted(`${ended === undefined ? "recording" : "recorded"} ${title}`, Math.max(0, room), looks);
  return [{ text: ` ${text}${" ".repeat(Math.max(1, room - columnsOf(text, looks) + 1))}${time} `, style: { reverse: true } }];
}

function factLines(state: RecordingState, columns: number, looks: Looks): Line[] {
  const note = state.notes.at(-1);
  return [
    stageLine(state),
    ...(note === undefined ? [] : [[{ text: fitted(note, columns, looks), style: { colour: YELLOW } }]]),
    ...state.findings.slice(-FINDINGS_SHOWN).map(({ kind, severity, text, count }): Line => {
      const label = `${kind}${count > 1 ? ` (${count} times)` : ""}: `;
      const style = { colour: severity === "warning" ? YELLOW : RED };
      return [
        { text: label, style: { ...style, bold: true } },
        { text: fitted(text.trim(), Math.max(0, columns - columnsOf(label, looks)), looks), style },
      ];
    }),
    [{ text: "─".repeat(columns) }],
  ];
}

const STATUS_WORDS: Readonly<Record<string, string>> = {
  mounted: "preparing",
  kvm_ok: "preparing",
  tcg_emulation: "preparing",
  launching_qemu: "QEMU starts",
  qemu_exited: "reading what was recorded",
  session_complete: "done",
  fallback_no_kvm: "without KVM",
  iso_not_found: "the image is not there",
  fatal_error: "failed",
};

/** The stages that were passed, each with its time, and where things stand. */
function stageLine({ stages, status, machine, ended }: RecordingState): Line {
  const passed = stages.map(({ stage, timeMs }, index): Span[] => [
    ...(index === 0 ? [] : [{ text: " » " }]),
    { text: stage, style: { bold: index === stages.length - 1, colour: GREEN } },
    { text: ` ${Math.round(timeMs / 1000)} s` },
  ]);
  const now = ended ?? (stages.length > 0 && status === "launching_qemu" ? "" : (STATUS_WORDS[status ?? "mounted"] ?? ""));
  return [
    ...(machine === "" ? [] : [{ text: `${machine}: ` }]),
    ...passed.flat(),
    ...(now === "" ? [] : [{ text: `${passed.length > 0 ? "; " : ""}${now}` }]),
  ];
}

function helpLine({ stop, message, back, view, picture }: RecordingState, columns: number, looks: Looks): Line {
  if (stop === "asked")
    return [
      {
        text: fitted("Stop this boot? y stops it and keeps what was recorded, any other key goes on", columns, looks),
        style: { bold: true, colour: YELLOW },
      },
    ];
  if (stop === "ordered") return [{ text: fitted("Stopping; what was recorded is kept", columns, looks), style: { bold: true } }];
  if (message !== undefined) return [{ text: fitted(message, columns, looks), style: { bold: true } }];
  const other = view === "picture" || (view === "auto" && picture !== undefined) ? "p console" : "p picture of its screen";
  const scrolled = back > 0 ? `  End newest (${back} lines back)` : "  PgUp older lines";
  return [{ text: fitted(`q stop  s screenshot  ${other}${scrolled}`, columns, looks), style: { colour: CYAN } }];
}

/** The last lines. The screen cuts them at its edge: one line of the guest is one row. */
function consoleOf({ lines, lastLine, back }: RecordingState, rows: number): readonly Line[] {
  const all = back === 0 && lastLine !== "" ? [...lines.slice(-rows), lastLine] : lines;
  const end = all.length - Math.min(back, Math.max(0, all.length - rows));
  return rows === 0 ? [] : all.slice(Math.max(0, end - rows), end).map((text): Line => [{ text }]);
}

function pictureOf({ picture }: RecordingState, size: ScreenSize, looks: Looks): readonly Line[] {
  if (picture === undefined) return [[{ text: "no picture yet" }]];
  if (picture.type === "pixels") return pictureLines(picture.pixels, size, looks);
  const last = picture.rows.findLastIndex((row) => row.trim() !== "") + 1;
  return picture.rows.slice(Math.max(0, last - size.rows), last).map((text): Line => [{ text }]);
}
