/**
 * Our part of `/ventoy/ventoy_grub.cfg`, which Ventoy loads by `configfile` when F6 is pressed. All else in the file is the person's, and stays byte by byte.
 * Of Ventoy's variables it uses the documented `vtoydev` (the disk, `hd1`) alone.
 */
import { ADOPTION } from "../../contract/adoption.ts";
import { STICK_ESP } from "../../contract/stick.ts";
import { type ByteText, byteText, fromBytes, toBytes } from "../../formats/byte-text.ts";
import { grubWord } from "../../formats/escape-grub.ts";

const BEGIN = "# hiperiso begins here. `hiperiso stick adopt` wrote this part, `hiperiso stick adopt --remove` takes it out.";
/** The same, where the file did not end with a line end: that one is ours too. */
const BEGIN_IN_LINE = "# hiperiso begins here, with the line end above. `hiperiso stick adopt` wrote this part, and --remove takes it out.";
const END = "# hiperiso ends here.";

/** Of the entry: `VTOY_DEFAULT_IMAGE` may name it as `F6>hiperiso`. */
export const VENTOY_MENU_TITLE = "hiperiso";

/** The menu file with our part at its end, whether or not one was in it. `before`: undefined where there is none. */
export function withOurPart(before: Uint8Array | undefined): Uint8Array {
  const rest = before === undefined ? undefined : fromBytes(withoutOurPart(before));
  const menu = `($vtoydev,1)${ADOPTION.runtime}${STICK_ESP.menu}`;
  const entry = [
    `menuentry ${grubWord(VENTOY_MENU_TITLE)} --class=hiperiso {`,
    // Entries of others may rest on the root that Ventoy has set.
    '  set hiperiso_root="$root"',
    '  set root="$vtoydev,1"',
    `  configfile "${menu}"`,
    '  set root="$hiperiso_root"',
    "}",
  ];
  // Ventoy's own word for the way back, for a menu that had none.
  const back = ["menuentry '<-- Back to Ventoy' --class=vtoyret VTOY_RET {", "  echo 'Back to Ventoy ...'", "}"];
  const inLine = rest !== undefined && rest !== "" && !rest.endsWith("\n");
  const part = [inLine ? BEGIN_IN_LINE : BEGIN, ...entry, ...(rest === undefined || rest === "" ? back : []), END, ""].join("\n");
  return toBytes(`${rest ?? ""}${inLine ? "\n" : ""}${byteText(part)}` as ByteText);
}

/** The menu file without our part: what the person wrote, also what was added since. */
export function withoutOurPart(now: Uint8Array): Uint8Array {
  let text: string = fromBytes(now);
  for (let from = 0; ; ) {
    const end = text.indexOf(END, from);
    if (end === -1) break;
    // The nearest beginning: a line like it that stands alone somewhere above is the person's.
    const [start, inLine] = nearestBegin(text, end);
    if (start === -1) {
      from = end + END.length;
      continue;
    }
    const ours = inLine && start > 0 ? start - 1 : start;
    const after = end + END.length;
    text = text.slice(0, ours) + text.slice(text[after] === "\n" ? after + 1 : after);
    from = ours;
  }
  return toBytes(text as ByteText);
}

/** Where a line begins in front of `end` that begins our part; -1 where none does. `inLine`: the line end in front of it is ours. */
function nearestBegin(text: string, end: number): readonly [start: number, inLine: boolean] {
  const lastLine = (begin: string): number => {
    for (let at = text.lastIndexOf(begin, end); at !== -1; at = at === 0 ? -1 : text.lastIndexOf(begin, at - 1))
      if (at === 0 || text[at - 1] === "\n") return at;
    return -1;
  };
  const [plain, inLine] = [lastLine(BEGIN), lastLine(BEGIN_IN_LINE)];
  return plain > inLine ? [plain, false] : [inLine, true];
}

export const holdsOurPart = (now: Uint8Array): boolean => withoutOurPart(now).length !== now.length;
