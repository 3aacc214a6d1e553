/** A boot that is being recorded, as whoever sits at the computer sees it: a value, and what events and keys make of it. */

import type { StatusStage } from "../../contract/session.ts";
import type { FindingKind, PassedStage, Severity } from "../../contract/verdict.ts";
import type { Pixmap } from "../../formats/ppm.ts";
import type { Key } from "../../formats/terminal-keys.ts";
import type { SessionEvent } from "../../session/recording.ts";

/** What the guest's screen shows: a text mode's rows, or a picture. */
export type GuestPicture =
  | { readonly type: "text"; readonly rows: readonly string[] }
  | { readonly type: "pixels"; readonly pixels: Pixmap };

export interface SeenFinding {
  readonly kind: FindingKind;
  readonly severity: Severity;
  readonly text: string;
  readonly count: number;
}

export interface RecordingState {
  readonly title: string;
  /** What the person should know from the start on, one line each. */
  readonly notes: readonly string[];
  /** Undefined before the session has begun. */
  readonly sessionId: string | undefined;
  /** How it runs: `UEFI, emulation`. */
  readonly machine: string;
  readonly status: StatusStage | undefined;
  /** What the guest has passed, with the time of each. */
  readonly stages: readonly { readonly stage: PassedStage; readonly timeMs: number }[];
  /** Of one kind once: the last of it. Newest last. */
  readonly findings: readonly SeenFinding[];
  readonly elapsedMs: number;
  /** Lines of the console that have ended, oldest first, and the one that is being written. */
  readonly lines: readonly string[];
  readonly lastLine: string;
  /** How far back the person has scrolled, in lines. */
  readonly back: number;
  readonly picture: GuestPicture | undefined;
  /** `auto`: the console, and the picture while the console is silent from its start. */
  readonly view: "auto" | "console" | "picture";
  readonly stop: "no" | "asked" | "ordered";
  /** One line, until the next key. */
  readonly message: string | undefined;
  readonly ended: string | undefined;
}

/** What a key wants done. */
export type RecordingWish = "stop" | "screenshot";

const LINES_MAX = 1000;
const LINE_MAX = 1000;
const FINDINGS_MAX = 20;
/** A guest whose console has said nothing for so long speaks on its screen, if at all. */
const SILENT_MS = 8_000;

export const openRecording = (title: string, notes: readonly string[]): RecordingState => ({
  title,
  notes,
  sessionId: undefined,
  machine: "",
  status: undefined,
  stages: [],
  findings: [],
  elapsedMs: 0,
  lines: [],
  lastLine: "",
  back: 0,
  picture: undefined,
  view: "auto",
  stop: "no",
  message: undefined,
  ended: undefined,
});

/** Whether the picture is what is shown: only then it is worth asking for one. */
export const showsPicture = ({ view, lines, lastLine, elapsedMs }: RecordingState): boolean =>
  view === "picture" || (view === "auto" && lines.length === 0 && lastLine === "" && elapsedMs >= SILENT_MS);

/** Of the events all but `serial`, whose bytes become lines first (`noteLines`). */
export function noteEvent(state: RecordingState, event: SessionEvent): RecordingState {
  switch (event.type) {
    case "session": {
      const { plan } = event;
      const machine =
        plan === null ? "" : `${plan.firmware.interface.toUpperCase()}, ${plan.accelerator.use === "kvm" ? "KVM" : "emulation"}`;
      return { ...state, sessionId: event.id, machine };
    }
    case "status":
      return { ...state, status: event.stage };
    case "tick":
      return { ...state, elapsedMs: event.elapsedMs };
    case "warning":
      return { ...state, notes: [...state.notes, event.text] };
    case "display":
      return {
        ...state,
        notes: [
          ...state.notes,
          event.place.address === null ? "the guest's screen: a window" : `the guest's screen by VNC: ${event.place.address}`,
        ],
      };
    case "restart":
      return {
        ...state,
        machine: state.machine.replace("KVM", "emulation"),
        stages: [],
        findings: [],
        lines: [],
        lastLine: "",
        message: `Once more under emulation: ${event.because}`,
      };
    case "console":
      return noteConsole(state, event.event);
    case "ending":
      return { ...state, ended: event.ending.detail, message: undefined };
    default:
      return state;
  }
}

function noteConsole(state: RecordingState, event: Extract<SessionEvent, { type: "console" }>["event"]): RecordingState {
  if (event.type === "stage") {
    const { stage, timeMs } = event;
    if (state.stages.some((one) => one.stage === stage)) return state;
    return { ...state, stages: [...state.stages, { stage, timeMs }] };
  }
  if (event.type !== "finding" || event.severity === "info") return state;
  const { kind, severity, text } = event;
  const before = state.findings.find((one) => one.kind === kind);
  const others = state.findings.filter((one) => one.kind !== kind);
  return {
    ...state,
    findings: [...others, { kind, severity, text: text.slice(0, LINE_MAX), count: (before?.count ?? 0) + 1 }].slice(-FINDINGS_MAX),
  };
}

/** Lines of the console that have ended since, and the one that is being written now. The texts of one line are parted by LF. */
export function noteLines(state: RecordingState, ended: readonly string[], unfinished: string): RecordingState {
  const short = (text: string) => text.split("\n").map((one) => one.slice(0, LINE_MAX));
  const lastLine = short(unfinished).at(-1) ?? "";
  if (ended.length === 0) return { ...state, lastLine };
  // Frames of menus, in the bytes of a terminal that this is not.
  const came = ended
    .slice(-LINES_MAX)
    .flatMap(short)
    .filter((one) => one === "" || !/^[\ufffd\s]+$/u.test(one));
  // Whoever reads further up goes on reading there.
  const back = state.back === 0 ? 0 : Math.min(state.back + came.length, LINES_MAX);
  return { ...state, lines: [...state.lines, ...came].slice(-LINES_MAX), lastLine, back };
}

/** `page`: lines that a page key jumps over. */
export function noteKey(state: RecordingState, key: Key, page: number): { readonly state: RecordingState; readonly wish?: RecordingWish } {
  if (key.type === "position") return { state };
  const fresh = { ...state, message: undefined };
  const name = key.type === "text" ? key.text.toLowerCase() : key.name;
  if (state.stop === "asked") {
    if (name === "y" || name === "enter" || name === "q") return { state: { ...fresh, stop: "ordered" }, wish: "stop" };
    return { state: { ...fresh, stop: "no" } };
  }
  const scrolled = (lines: number): { readonly state: RecordingState } => ({
    state: { ...fresh, view: "console", back: Math.max(0, Math.min(state.lines.length, state.back + lines)) },
  });
  switch (name) {
    case "q":
    case "ctrl-c":
      return { state: state.stop === "ordered" || state.ended !== undefined ? fresh : { ...fresh, stop: "asked" } };
    case "s":
      return { state: fresh, wish: "screenshot" };
    case "p":
      return { state: { ...fresh, view: showsPicture(state) ? "console" : "picture", back: 0 } };
    case "up":
      return scrolled(1);
    case "down":
      return scrolled(-1);
    case "page up":
      return scrolled(page);
    case "page down":
      return scrolled(-page);
    case "end":
    case "escape":
      return { state: { ...fresh, back: 0 } };
    default:
      return { state: fresh };
  }
}
