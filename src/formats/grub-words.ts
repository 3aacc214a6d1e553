/** Words of a GRUB script while it runs: variables put in, parted at blanks, patterns of files followed. */
import { filesLike } from "./grub-files.ts";
import type { Frame, GrubRun } from "./grub-frame.ts";
import type { GrubTally } from "./grub-limits.ts";
import { type GrubWord, parseGrubScript } from "./grub-script.ts";

export async function expandWords(words: readonly GrubWord[], frame: Frame, run: GrubRun): Promise<string[]> {
  const out: string[] = [];
  for (const word of words) {
    for (const field of fieldsOf(word, frame, run.tally)) {
      const names = field.pattern ? await filesLike(field.text, frame, run) : [];
      out.push(...(names.length > 0 ? names : [field.text]));
    }
  }
  run.tally.countLetters(out);
  return out;
}

interface Field {
  text: string;
  pattern: boolean;
}

/** The arguments that a word becomes: none, one, or several. */
function fieldsOf(word: GrubWord, frame: Frame, tally: GrubTally): readonly Readonly<Field>[] {
  const fields: Field[] = [];
  let open: Field | undefined;
  const add = (text: string, pattern: boolean) => {
    open ??= { text: "", pattern: false };
    open.text += text;
    open.pattern ||= pattern && /[*?]/.test(text);
    if (open.text.length > tally.limits.letters) tally.stop(`a word of more than ${tally.limits.letters} letters`);
  };
  const close = () => {
    if (open !== undefined) fields.push(open);
    open = undefined;
  };
  for (const part of word) {
    if (part.kind === "text") {
      add(part.text, !part.quoted);
      continue;
    }
    const values = valuesOf(part.name, part.quoted, frame);
    if (part.quoted && part.name !== "@") add(values.join(" "), false);
    else
      values.forEach((value, index) => {
        if (index > 0) close();
        if (part.quoted) add(value, false);
        else {
          // Blanks part words, but those at the value's ends do not (seen with 2.06).
          value
            .split(/[ \t\n]+/)
            .filter((piece) => piece !== "")
            .forEach((piece, number) => {
              if (number > 0) close();
              add(piece, true);
            });
        }
      });
  }
  close();
  return fields;
}

function valuesOf(name: string, quoted: boolean, { context, parameters, status }: Frame): readonly string[] {
  if (name === "@" || name === "*") return quoted && name === "*" ? [parameters.join(" ")] : parameters;
  if (name === "#") return [String(parameters.length)];
  if (name === "?") return [String(status)];
  // $0 is nothing to GRUB.
  if (/^[0-9]/.test(name)) return [parameters[Number(name) - 1] ?? ""];
  return [context.get(name)];
}

/** The words of a line that holds text and variables only. */
export function wordsIn(text: string): readonly GrubWord[] {
  const [statement] = parseGrubScript(`set ${text.replace(/[\n;{}|&<>#]/g, "\\$&")}`).script;
  return statement?.kind === "command" ? statement.words.slice(1) : [];
}
