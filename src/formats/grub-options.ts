/** Options among the words of a GRUB command. */

export function splitAt(text: string, separator: string): readonly [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}

/** The value of the first of `names` that is among the words, as `--name value` or `--name=value`, and the other words. */
export function takeOption(
  args: readonly string[],
  names: readonly string[],
): { readonly value: string | undefined; readonly rest: readonly string[] } {
  const rest: string[] = [];
  let value: string | undefined;
  for (let at = 0; at < args.length; at += 1) {
    const word = args[at]!;
    const [name, joined] = splitAt(word, "=");
    if (!names.includes(name)) rest.push(word);
    else if (joined !== undefined) value ??= joined;
    else {
      at += 1;
      value ??= args[at];
    }
  }
  return { value, rest };
}
