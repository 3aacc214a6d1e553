import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type GrubStatement, parseGrubScript } from "../../src/formats/grub-script.ts";

/** A statement in few letters: "echo|a b", "if(test|x)[echo|y]else[…]". */
function shown(statement: GrubStatement): string {
  const script = (statements: readonly GrubStatement[]) => statements.map(shown).join("; ");
  switch (statement.kind) {
    case "command": {
      const words = statement.words.map((word) =>
        word
          .map((part) => (part.kind === "text" ? (part.quoted ? `'${part.text}'` : part.text) : `${part.quoted ? '"' : ""}$${part.name}`))
          .join("+"),
      );
      return words.join("|") + (statement.block === undefined ? "" : `{${script(statement.block)}}`);
    }
    case "if":
      return `if ${statement.arms.map(({ condition, body }) => `(${script(condition)})[${script(body)}]`).join(" elif ")} else[${script(statement.otherwise)}]`;
    case "for":
      return `for ${statement.name} (${statement.words.length})[${script(statement.body)}]`;
    case "while":
      return `${statement.until ? "until" : "while"} (${script(statement.condition)})[${script(statement.body)}]`;
    case "function":
      return `function ${statement.name}[${script(statement.body)}]`;
  }
}

const parsed = (text: string) => parseGrubScript(text).script.map(shown);

describe("the tree of a GRUB script", () => {
  it.each([
    ["echo a b", ["echo|a|b"]],
    ["echo a; echo b\necho c", ["echo|a", "echo|b", "echo|c"]],
    ["# nothing\necho a#b # and this\n", ["echo|a#b"]],
    ["echo 'a b'\"c $d\"e", ["echo|'a b'+'c '+\"$d+e"]],
    ['echo "a\\"b\\$c\\d"', ["echo|'a\"b$c\\d'"]],
    ["echo a\\ b \\\n  c", ["echo|a+' '+b|c"]],
    ["echo $a \x24{b}c $1 \x24{2} $# $@ $* $? $", ["echo|$a|$b+c|$1|$2|$#|$@|$*|$?|$"]],
    ['echo $"Try %s"', ["echo|'Try %s'"]],
    ["echo \"\" ''", ["echo|''|''"]],
    ["menuentry 'x y' --class a {\n linux /k\n initrd /i\n}", ["menuentry|'x y'|--class|a{linux|/k; initrd|/i}"]],
    ["submenu a { menuentry b { c } }", ["submenu|a{menuentry|b{c}}"]],
    ["if a; then b; fi", ["if (a)[b] else[]"]],
    ["if a\nthen\nb\nelif c; d; then e\nelse f\nfi", ["if (a)[b] elif (c; d)[e] else[f]"]],
    ["for x in 1 2 3; do echo $x; done", ["for x (3)[echo|$x]"]],
    ["while a; do b; done\nuntil c; do d; done", ["while (a)[b]", "until (c)[d]"]],
    ["function f { a; b }\nf", ["function f[a; b]", "f"]],
    ["echo if then done fi", ["echo|if|then|done|fi"]],
    ["a=b\nset c=d", ["a=b", "set|c=d"]],
    ["echo a\r\necho b\r\n", ["echo|a", "echo|b"]],
  ])("%j", (text, expected) => {
    expect(parsed(text)).toEqual(expected);
    expect(parseGrubScript(text).errors).toEqual([]);
  });

  it.each([
    ["}\necho a", 1, ["echo|a"]],
    ["echo a\nfi\necho b", 2, ["echo|a", "echo|b"]],
    ["echo a |\necho b", 1, ["echo|b"]],
    ["echo a\nif b; then c", 2, ["echo|a"]],
    ['echo "a\necho b', 1, ["echo|b"]],
    ["for 1 in a; do b; done\necho c", 1, ["echo|c"]],
    ["function { a }\necho c", 1, ["echo|c"]],
  ])("%j: goes on behind what cannot be read, and says its line", (text, line, expected) => {
    expect(parsed(text)).toEqual(expected);
    expect(parseGrubScript(text).errors[0]).toMatchObject({ line, found: expect.stringMatching(/./) });
  });

  it("blocks in blocks have a limit", () => {
    const { errors } = parseGrubScript("menuentry a { ".repeat(100_000));
    expect(errors[0]?.found).toMatch(/more than 32 blocks/);
    expect(errors.length).toBeLessThanOrEqual(20);
  });

  const pieces = fc.constantFrom(
    ..."if then elif else fi for in do done while until function menuentry { } ; \n ' \" \\ $ \x24{ $a \x24{b} # a b=c [ ] ! | & < > ( )".split(
      " ",
    ),
    " ",
    "\n",
  );

  it("takes every text", () => {
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => {
        const { script, errors } = parseGrubScript(parts.join(" "));
        expect(script.length + errors.length).toBeLessThanOrEqual(81);
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: "binary-ascii", maxLength: 200 }), (text) => {
        parseGrubScript(text);
      }),
    );
  });

  const checker = spawnSync("grub-script-check", ["--version"]).status === 0;
  it.skipIf(!checker)("refuses what grub-script-check refuses, and takes what it takes", () => {
    const taken = [
      "echo a",
      "if a; then b; fi",
      "menuentry x { a }",
      "menuentry x {\na\n}\n",
      "function f {\n a\n}\nf b",
      "for a in b c; do d; done",
      "while a; do b; done",
      "echo if",
      "! a",
      "a; b; c",
      "[ a = b ]",
      "if [ a = b ]; then c; elif d; then e; else f; fi",
      'menuentry "a" --class b --id c { linux /d; initrd /e; }',
      "echo \x24{a}b$c",
      "echo a\\\n b",
    ];
    // Of what it refuses, some we take: `function f { a }` on one line, a `$` alone.
    const refused = [
      "if a; then b",
      "if a then b; fi",
      "echo a }",
      "}",
      "{ a }",
      "menuentry x { a",
      "menuentry x { a } b",
      "for a b c; do d; done",
      "while a; b; done",
      "echo a && b",
      "echo a | b",
      "echo 'a",
      'echo "a',
      "fi",
      "else",
    ];
    const theirs = (text: string) => spawnSync("grub-script-check", { input: `${text}\n` }).status === 0;
    const ours = (text: string) => parseGrubScript(`${text}\n`).errors.length === 0;
    expect(taken.filter(theirs)).toEqual(taken);
    expect(taken.filter(ours)).toEqual(taken);
    expect(refused.filter(theirs)).toEqual([]);
    expect(refused.filter(ours)).toEqual([]);
  });
});
