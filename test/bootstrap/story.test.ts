import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseManifest } from "../../src/bootstrap/manifest.ts";
import { tellStory } from "../../src/bootstrap/story.ts";

type Configuration = readonly (readonly [string, string])[];
const tell = (text: string, configuration: Configuration = [], preseeded = false) =>
  tellStory(parseManifest(text, "steps/manifest"), configuration, { preseeded });

describe("a story", () => {
  test("numbers what runs, and says in which script, by which interpreter, which file", () => {
    const story = tell(
      `build: a-1
jump: fiwix ( K == True )
build: a-1
build: b ( K == False )
improve: i
build: bash-2.05b
uninstall: a-1 /usr/bin/x
build: bashful
build: bash-2.05b
jump: linux
improve: after
`,
      [["K", "True"]],
    );
    expect(story.steps.map(({ number, line, script, interpreter, runs }) => [number, line, script, interpreter, runs])).toEqual([
      [1, 1, "/steps/0.sh", "kaem", "/steps/a-1/pass1.kaem"],
      [2, 2, "/steps/0.sh", "kaem", "/steps/jump/fiwix.sh"],
      [3, 3, "/steps/1.sh", "kaem", "/steps/a-1/pass2.kaem"],
      [4, 5, "/steps/1.sh", "kaem", "/steps/improve/i.sh"],
      [5, 6, "/steps/1.sh", "kaem", "/steps/bash-2.05b/pass1.kaem"],
      [6, 7, "/steps/2.sh", "bash", undefined],
      [7, 8, "/steps/2.sh", "bash", "/steps/bashful/pass1.sh"],
      [8, 9, "/steps/2.sh", "bash", "/steps/bash-2.05b/pass2.sh"],
      [9, 10, "/steps/3.sh", "bash", "/steps/jump/linux.sh"],
      [10, 11, "/steps/4.sh", "bash", "/steps/improve/after.sh"],
    ]);
    expect(story.steps[5]).toMatchObject({ directive: "uninstall", name: "a-1 /usr/bin/x" });
    expect(story.scripts.map(({ path, interpreter }) => `${path} ${interpreter}`)).toEqual([
      "/steps/0.sh kaem",
      "/steps/1.sh kaem",
      "/steps/2.sh bash",
      "/steps/3.sh bash",
      "/steps/4.sh bash",
    ]);
    expect(story.skipped).toEqual([{ line: 4, text: "build: b ( K == False )", because: "( K == False ) does not hold" }]);
  });

  test("counts as a pass whatever had the same argument before, as the guest does", () => {
    const { steps } = tell("build: a\nuninstall: a\nimprove: a\nbuild: a\nuninstall: a b\nbuild: a\n");
    expect(steps.filter(({ directive }) => directive === "build").map(({ pass }) => pass)).toEqual([1, 4, 5]);
  });

  test("a line that does not run is no pass", () => {
    expect(tell("build: a ( X == 1 )\nbuild: a\n").steps).toMatchObject([{ line: 2, pass: 1 }]);
  });

  test("definitions run in order and change what follows", () => {
    const { steps, variables } = tell(
      "build: a ( V == True )\ndefine: V = ( W != x )\nbuild: b ( V == True )\ndefine: V = no ( W == x )\nbuild: c ( V == True )\n",
      [["FIRST", ""]],
    );
    expect(steps.map(({ name }) => name)).toEqual(["b", "c"]);
    expect(variables).toEqual([
      ["FIRST", ""],
      ["V", "True"],
    ]);
  });

  test("the first variable of the configuration cannot be defined anew, as in the guest", () => {
    const { steps, variables } = tell("define: ARCH = amd64\nbuild: a ( ARCH == x86 )\n", [["ARCH", "x86"]]);
    expect(steps).toHaveLength(1);
    expect(variables).toEqual([
      ["ARCH", "x86"],
      ["ARCH", "amd64"],
    ]);
    expect(tell("define: A = 1\ndefine: A = 2\nbuild: a ( A == 1 )\n").steps).toHaveLength(1);
  });

  test("names what nothing sets", () => {
    const { unset } = tell("build: a ( TYPO == x )\ndefine: B = ( TYPO == x && C == y )\nbuild: b ( B == x )\n", [["C", ""]]);
    expect(unset).toEqual([{ name: "TYPO", line: 1 }]);
  });

  test("begins behind the first bash where a preseed holds what is before, with the same passes and scripts", () => {
    const text = "build: a\njump: fiwix\nbuild: bash-2\nbuild: a\nimprove: i\n";
    const { steps, skipped } = tell(text, [], true);
    const whole = tell(text).steps.slice(3);
    expect(steps).toEqual(whole.map((step, index) => ({ ...step, number: index + 1 })));
    expect(steps[0]).toMatchObject({ name: "a", pass: 2, script: "/steps/2.sh", interpreter: "bash" });
    expect(skipped.map(({ line }) => line)).toEqual([1, 2, 3]);
  });
});

describe("any story", () => {
  const name = fc.constantFrom("a", "b", "bash-1", "bash-2");
  const predicate = fc.constantFrom("", " ( V == 1 )", " ( V != 1 )", " ( W == 1 || V == 1 )");
  const line = fc.oneof(
    fc.tuple(fc.constantFrom("build", "improve", "jump", "uninstall"), name, predicate).map(([d, n, p]) => `${d}: ${n}${p}`),
    fc
      .tuple(fc.constantFrom("W", "X"), fc.constantFrom("1", "2"), predicate)
      .map(([v, x, p]) => `define: ${v} = ${x}${p.replace("W", "V")}`),
  );

  test("has every line that is no definition once, as a step or as one that does not run", () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 20 }), fc.constantFrom("0", "1"), (lines, value) => {
        const story = tell(lines.join("\n"), [["V", value]]);
        const told = [...story.steps, ...story.skipped.filter(({ text }) => !text.startsWith("define"))].map(({ line: at }) => at);
        const expected = lines.flatMap((text, index) => (text.startsWith("define") ? [] : [index + 1]));
        expect(told.sort((a, b) => a - b)).toEqual(expected);
        expect(story.steps.map(({ number }) => number)).toEqual(story.steps.map((_, index) => index + 1));
        expect(new Set(story.steps.map(({ script }) => script)).size).toBeLessThanOrEqual(story.scripts.length);
        // kaem first, and never again behind bash.
        expect(story.steps.map(({ interpreter }) => interpreter).join(" ")).toMatch(/^(kaem ?)*(bash ?)*$/);
      }),
    );
  });
});
