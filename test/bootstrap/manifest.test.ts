import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DIRECTIVES, parseManifest } from "../../src/bootstrap/manifest.ts";
import { HiperisoError } from "../../src/contract/error.ts";

const read = (text: string) => parseManifest(text, "steps/manifest");

function refusal(text: string): HiperisoError {
  try {
    read(text);
  } catch (error) {
    if (error instanceof HiperisoError) return error;
    throw error;
  }
  throw new Error(`not refused: ${JSON.stringify(text)}`);
}

describe("a manifest", () => {
  test("is its lines, with words, predicates and definitions", () => {
    const { lines, text, where } = read(
      `# what is built

build: mes-0.27.1
define: BUILD = ( KERNEL_BOOTSTRAP == True || BUILD_KERNELS == True )
build: fiwix-1.5.0 ( BUILD == True )#at once
define: JOBS = 1 ( KERNEL_BOOTSTRAP == True )
jump: fiwix ( KERNEL_BOOTSTRAP == True ) # from here on there are disks
uninstall: a /usr/bin/b ( CHROOT == True )
improve: after`,
    );
    expect(where).toBe("steps/manifest");
    expect(text).toMatch(/^# what/);
    expect(lines.map(({ line, directive, name }) => [line, directive, name])).toEqual([
      [3, "build", "mes-0.27.1"],
      [4, "define", "BUILD"],
      [5, "build", "fiwix-1.5.0"],
      [6, "define", "JOBS"],
      [7, "jump", "fiwix"],
      [8, "uninstall", "a"],
      [9, "improve", "after"],
    ]);
    const [mes, build, fiwix, jobs, jump, uninstall] = lines;
    expect(mes).toEqual({ line: 3, text: "build: mes-0.27.1", directive: "build", name: "mes-0.27.1", words: ["mes-0.27.1"] });
    expect(build!.value).toMatchObject({ kind: "join", operator: "||" });
    expect(build!.predicate).toBeUndefined();
    expect(fiwix!.predicate).toEqual({ kind: "compare", variable: "BUILD", operator: "==", value: "True" });
    expect(fiwix!.text).toBe("build: fiwix-1.5.0 ( BUILD == True )#at once");
    expect(jobs).toMatchObject({ value: { kind: "constant", value: "1" }, predicate: { variable: "KERNEL_BOOTSTRAP" } });
    expect(jump!.text).toMatch(/disks$/);
    expect(uninstall!.words).toEqual(["a", "/usr/bin/b", "(", "CHROOT", "==", "True", ")"]);
  });

  test("of nothing has no lines", () => {
    expect(read("").lines).toEqual([]);
    expect(read("\n# a\n#\n").lines).toEqual([]);
  });

  test.each([
    ["an unknown directive", "install: a\n", "1:1", /build: improve: jump: define: uninstall:/, '"install:"'],
    ["a directive without its colon", "build a\n", "1:1", /build:/, '"build"'],
    ["no name", "build:\n", "1:7", /a name behind "build:"/, "the end of the line"],
    ["a bracket for a name", "\nbuild: ( A == x )\n", "2:8", /a name behind/, '"("'],
    ["an unclosed predicate", "build: a\nbuild: b ( A == x\n", "2:18", /"\)"/, "the end of the line"],
    ["a predicate that a comment cuts", "build: b ( A == x # )\n", "1:18", /"\)"/, "the end of the line"],
    ["brackets without blanks", "build: b (A == x)\n", "1:10", /begins with "\("/, '"(A"'],
    ["two predicates", "build: b ( A == x ) ( A == y )\n", "1:21", /one predicate/, '"("'],
    ["two packages", "build: a b\n", "1:10", /begins with "\("/, '"b"'],
    ["two blanks", "build:  a\n", "1:8", /one space/, "two, or one at the beginning"],
    ["a blank in front", " build: a\n", "1:1", /one space/, "two, or one at the beginning"],
    ["two blanks at the end", "build: a  \n", "1:10", /one space/, "two, or one at the beginning"],
    ["a line of blanks", "build: a\n  \n", "2:1", /an empty line/, "one of blanks"],
    ["a tab", "build:\ta\n", "1:7", /one space/, "a tab"],
    ["a carriage return", "build: a\r\n", "1:9", /one space/, "a carriage return"],
    ["a NUL", "build: a\0\n", "1:9", /one space/, "a control character"],
    ["a word of 64 bytes", `build: ${"x".repeat(64)}\n`, "1:8", /at most 63 bytes/, "64"],
    ["a word of 32 letters and 64 bytes", `build: ${"ü".repeat(32)}\n`, "1:8", /at most 63 bytes/, "64"],
    ["a path for a package", "build: ../../etc\n", "1:8", /the name of a file or folder/, '"../../etc"'],
    ["a define without =", "define: A True\n", "1:11", /"="/, '"True"'],
    ["a define without a value", "define: A =\n", "1:12", /a value/, "the end of the line"],
    ["a define of two words", "define: A = b c\n", "1:15", /begins with "\("/, '"c"'],
  ])("with %s is refused with line and column", (_, text, place, expected, found) => {
    const error = refusal(text);
    expect(error.where).toBe(`steps/manifest:${place}`);
    expect(error.expected).toMatch(expected);
    expect(error.found).toBe(found);
    expect(error.kind).toBe("usage");
  });

  test("a blank behind the last word, a word of 63 bytes, and a comment at once are in order", () => {
    expect(read(`build: ${"x".repeat(63)} \nbuild: a # \t  b\nbuild: c#\n`).lines.map(({ name }) => name.slice(0, 2))).toEqual([
      "xx",
      "a",
      "c",
    ]);
  });

  test("a typo of the letters gets a hint", () => {
    expect(refusal("Build: a").hint).toBe('Did you mean "build:"?');
  });
});

describe("a circle of definitions is refused", () => {
  test.each([
    ["define: A = ( A == x )\n", 1, "A → A"],
    ["define: A = x ( A == y )\n", 1, "A → A"],
    ["define: A = ( B == x )\ndefine: B = ( A == x )\n", 1, "A → B → A"],
    ["define: A = ( B == x )\nbuild: p\ndefine: B = ( C == x )\ndefine: C = 1 ( A == x )\n", 1, "A → B → C → A"],
  ])("%j", (text, line, way) => {
    const error = refusal(text);
    expect(error.where).toBe(`steps/manifest:${line}:1`);
    expect(error.found).toBe(`a circle: ${way}`);
  });

  test.each([
    // A later line may build on what an earlier one, or the configuration, has set.
    "define: A = 1\ndefine: A = ( A == 1 )\n",
    "define: CHROOT = ( CHROOT == True )\n",
    "define: A = ( CHROOT == x )\ndefine: CHROOT = ( A == x )\n",
    // Read too early, but of what comes later nothing rests on it.
    "define: A = ( B == x )\ndefine: B = ( C == x )\n",
    "define: B = 1\ndefine: A = ( B == x )\ndefine: B = ( A == x )\n",
  ])("but this is none: %j", (text) => {
    expect(read(text).lines.length).toBeGreaterThan(0);
  });
});

const word = fc.stringMatching(/^[A-Za-z0-9_.+-]{1,20}$/).filter((text) => text !== "." && text !== "..");
const predicate = fc.tuple(word, fc.constantFrom("==", "!="), word).map((words) => ` ( ${words.join(" ")} )`);
const line = fc
  .tuple(fc.constantFrom("build", "improve", "jump", "uninstall"), word, fc.option(predicate), fc.option(fc.stringMatching(/^ ?#[^\n]*$/)))
  .map(([directive, name, logic, comment]) => `${directive}: ${name}${logic ?? ""}${comment ?? ""}`);

describe("any manifest", () => {
  test("has a line for each that is no comment, at its number, as it was written", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(line, fc.constant(""), fc.stringMatching(/^#[^\n]*$/)), { maxLength: 12 }), (lines) => {
        const kept = lines.flatMap((text, index) => (text === "" || text.startsWith("#") ? [] : [[index + 1, text]]));
        expect(read(lines.join("\n")).lines.map(({ line: number, text }) => [number, text])).toEqual(kept);
      }),
    );
  });

  test("cut anywhere, or with any byte changed, is read or refused by an error of ours that names a place", () => {
    const text = "build: a ( A == x && B != y ) # c\ndefine: C = ( A == x )\nuninstall: a b ( C == True )\nimprove: d\n";
    const check = (changed: string): void => {
      try {
        for (const { directive, name } of read(changed).lines) {
          expect(DIRECTIVES).toContain(directive);
          expect(name).not.toBe("");
        }
      } catch (error) {
        expect(error).toBeInstanceOf(HiperisoError);
        expect((error as HiperisoError).where).toMatch(/^steps\/manifest:\d+:\d+$/);
      }
    };
    for (let end = 0; end <= text.length; end++) check(text.slice(0, end));
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.integer({ min: 0, max: 0x2ff }), (at, code) => {
        check(text.slice(0, at) + String.fromCharCode(code) + text.slice(at + 1));
      }),
    );
  });
});
