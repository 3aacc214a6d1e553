import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { shellCommand, shellWord } from "../../src/formats/escape-shell.ts";

/** What /bin/sh makes of a command line's words. */
const shArguments = (line: string): string[] =>
  execFileSync("/bin/sh", ["-c", `printf '%s\\0' ${line}`])
    .toString()
    .split("\0")
    .slice(0, -1);

const word = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 12 }).filter((text) => !text.includes("\0")),
  fc
    .array(fc.constantFrom("'", '"', "\\", "$(id)", "`id`", "$HOME", " ", "\n", "*", "~", "!", "{a,b}", "-", "=", ";", "&", "a"), {
      maxLength: 6,
    })
    .map((parts) => parts.join("")),
);

describe("a word for a shell", () => {
  test("comes out of a real shell as it went in", () => {
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 20 }), (words) => {
        expect(shArguments(words.map(shellWord).join(" "))).toEqual(words);
      }),
      { numRuns: 100 },
    );
  });

  test.each([
    ["if=none,id=cd", "if=none,id=cd"],
    ["/a b", "'/a b'"],
    ["it's", "'it'\\''s'"],
    ["", "''"],
    ["~", "'~'"],
    ["Ärger", "'Ärger'"],
  ])("%j is written as %s", (text, shown) => {
    expect(shellWord(text)).toBe(shown);
  });

  test("cannot hold a NUL, and says so", () => {
    expect(() => shellWord("a\0b")).toThrow(/without NUL.*a\\x00b/);
  });
});

describe("a shell command", () => {
  test.each([
    [["qemu-system-x86_64", "-drive", "file=/a b"], "qemu-system-x86_64 -drive 'file=/a b'"],
    [["A=b", "c"], "'A=b' c"],
    [["if", "then"], "'if' then"],
  ])("%j is written as %s", (words, line) => {
    expect(shellCommand(words)).toBe(line);
  });

  test.each(["if", "A=b", "while", "{", "!", "[[", "time", "in", "a b", "case", "function"])(
    "calls the program %j, not the syntax",
    (name) => {
      const script = `${shellCommand([name])} 2>/dev/null; echo "status $?"`;
      const shell = execFileSync("/bin/sh", ["-c", script], { env: { PATH: "/nonexistent" } });
      expect(shell.toString()).toBe("status 127\n"); // looked for and not found
    },
  );
});
