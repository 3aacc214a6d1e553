/** One question on the consoles, answered by a key or, where nobody is there, by time: what next, after a boot. */
import { setInterval } from "node:timers";
import { CYAN, fitted, type Line, type Looks, type ScreenSize, wrapped } from "../../formats/terminal-frame.ts";
import type { Key } from "../../formats/terminal-keys.ts";
import type { Console } from "../../host/console.ts";
import { show } from "../console/show.ts";

export interface Question<Value> {
  readonly title: string;
  /** Above the answers; what does not fit is left out from its end. */
  readonly text: readonly Line[];
  /** `key`: a letter or digit that chooses it at once. */
  readonly answers: readonly { readonly value: Value; readonly title: string; readonly key?: string }[];
  /** Index of the one that is marked, and chosen when time is over. */
  readonly standard: number;
  /** Whole seconds; undefined: it waits for ever. Any key stops the time. */
  readonly timeoutS?: number | undefined;
}

/** Throws the signal's reason when aborted. */
export async function ask<Value>(question: Question<Value>, consoles: readonly Console[], signal: AbortSignal): Promise<Value> {
  signal.throwIfAborted();
  const { answers } = question;
  let selected = question.standard;
  let leftS = question.timeoutS;
  let answered: (value: Value) => void = () => {};
  let gaveUp: (reason: unknown) => void = () => {};
  const answer = new Promise<Value>((resolve, reject) => {
    answered = resolve;
    gaveUp = reject;
  });
  const aborted = () => gaveUp(signal.reason);
  signal.addEventListener("abort", aborted, { once: true });
  const choose = (index: number): void => {
    const chosen = answers[index];
    if (chosen !== undefined) answered(chosen.value);
  };
  const key = (pressed: Key): void => {
    leftS = undefined;
    if (pressed.type === "text") choose(answers.findIndex((one) => one.key === pressed.text.toLowerCase()));
    else if (pressed.type === "named") {
      if (pressed.name === "up") selected = Math.max(0, selected - 1);
      else if (pressed.name === "down" || pressed.name === "tab") selected = Math.min(answers.length - 1, selected + 1);
      else if (pressed.name === "enter") choose(selected);
    }
    shown.redraw();
  };
  await using shown = show(consoles, { render: (size, looks) => questionLines(question, { selected, leftS }, size, looks), key });
  const ticking = setInterval(() => {
    if (leftS === undefined) return;
    leftS -= 1;
    if (leftS <= 0) choose(question.standard);
    shown.redraw();
  }, 1000);
  try {
    return await answer;
  } finally {
    clearInterval(ticking);
    signal.removeEventListener("abort", aborted);
  }
}

/** The answers are always to be seen; the text is cut where there is no room. */
export function questionLines<Value>(
  { title, text, answers }: Question<Value>,
  { selected, leftS }: { readonly selected: number; readonly leftS: number | undefined },
  { columns, rows }: ScreenSize,
  looks: Looks,
): readonly Line[] {
  const time = leftS === undefined ? "" : `  (${Math.max(0, leftS)} s)`;
  const options = answers.map((one, index): Line => {
    const label = `${index === selected ? "» " : "  "}${one.key === undefined ? "" : `${one.key}  `}${one.title}${index === selected ? time : ""}`;
    return [{ text: fitted(label, columns, looks), style: { reverse: index === selected } }];
  });
  const room = rows - options.length - 2;
  const firstOption = Math.max(0, Math.min(selected, options.length - rows));
  const lines = text.flatMap((line): Line[] => {
    const [only, ...others] = line;
    if (only === undefined || others.length > 0) return [line];
    return wrapped(only.text, columns, looks).map((part): Line => [{ ...only, text: part }]);
  });
  return [
    ...(room >= 0 ? [[{ text: fitted(` ${title}`, columns, looks).padEnd(columns), style: { reverse: true } }]] : []),
    ...(room > 0 ? lines.slice(0, room) : []),
    ...(room > 0 ? Array.from({ length: Math.max(0, room - lines.length) }, (): Line => []) : []),
    ...options.slice(firstOption, firstOption + rows),
    ...(room >= 0 ? [[{ text: fitted("↑↓ Enter", columns, looks), style: { colour: CYAN } }]] : []),
  ].slice(0, rows);
}
