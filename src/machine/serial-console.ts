/** A kernel's command line that can be followed on the first serial port. Pure. */

const SERIAL = "console=ttyS0,115200";
const SCREEN = "console=tty0";

/**
 * `line` with a console on the serial port, last, so that it is also where `init` speaks, and one on the screen, where the menu had none of it but
 * the kernel's standard; then `append`. Both stand in front of `--` and `---`, behind which words are for `init` or for the system that an installer makes.
 * Words of the line are kept as they are.
 */
export function withSerialConsole(line: string, append = ""): string {
  const words = wordsOf(line);
  const end = words.findIndex((word) => word === "--" || word === "---");
  const [before, behind] = end < 0 ? [words, []] : [words.slice(0, end), words.slice(end)];
  const consoles = before.filter((word) => word.startsWith("console="));
  const serialIsLast = /^console=ttyS0(,|$)/.test(consoles.at(-1) ?? "");
  const screen = consoles.some((word) => /^console=tty\d*$/.test(word)) ? [] : [SCREEN];
  const added = serialIsLast ? [] : [...screen, SERIAL];
  return [...before, ...added, ...(append.trim() === "" ? [] : [append.trim()]), ...behind].join(" ");
}

/** Parted at blanks outside of double quotes, as the kernel does it. */
function wordsOf(line: string): readonly string[] {
  const words: string[] = [];
  let word = "";
  let quoted = false;
  for (const character of line) {
    if (character === '"') quoted = !quoted;
    if (!quoted && /\s/.test(character)) {
      if (word !== "") words.push(word);
      word = "";
    } else word += character;
  }
  return word === "" ? words : [...words, word];
}
