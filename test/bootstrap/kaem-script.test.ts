// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of kaem, not of TypeScript
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type KaemOptions, kaemProblems, requireKaemScript } from "../../src/bootstrap/kaem-script.ts";
import { HiperisoError } from "../../src/contract/error.ts";
import { buildKaem, LIVE_BOOTSTRAP, noKaem } from "./real-kaem.ts";

const told = (script: string, options?: KaemOptions): readonly string[] =>
  kaemProblems(script, options).map(({ line, column, text }) => `${line}:${column} ${text}`);

describe("what kaem runs as it is meant", () => {
  test.each([
    "",
    "#!/bin/sh\n",
    "set -ex\n\ncd build ; cd ..\n",
    'PATH=/usr/bin\nA=\nB=${A}x\nC="a b"\n',
    "if match x${A} xTrue; then\n    one two\nelse\n    three\nfi\n",
    'alias cc="tcc -DV=\\"1\\" -I${DIR}/include"\ncc -c a.c\n',
    "tcc \\\n    -o a \\\n    a.c\n",
    "echo a\\ b \\\\ \\\" \\# # a comment | with & anything > it 'likes'\n",
    'echo "a | b; c # d \'e\'" $@ ${A:-none} "${B:-two words}"\n',
    "exec kaem --file next.kaem\nunset A B\npwd\n",
    "\tindented ${A}${B}-${C}\n",
  ])("%j", (script) => {
    expect(told(script)).toEqual([]);
  });
});

/** Each with what kaem makes of it: the text on its stdout, or `aborts`. Seen in kaem 1.7.0, and seen again below where it is at hand. */
const ODD: readonly (readonly [script: string, problem: string, kaem: string | "aborts"])[] = [
  ["false || echo a\n", "1:7 kaem has no pipes", "aborts"],
  ["echo a && echo b\n", '1:8 kaem has no "&&" and background commands', "a && echo b\n"],
  ["echo a > /dev/null\n", "1:8 kaem has no redirections", "a > /dev/null\n"],
  ["echo 'a  b'\n", "1:6 kaem has no single quotes", "'a b'\n"],
  ["echo /*\n", "1:7 kaem has no patterns", "/*\n"],
  ["echo ~\n", '1:6 kaem has no "~"', "~\n"],
  ["echo $(pwd)\n", '1:6 kaem knows ${NAME}, ${NAME:-text} and $@, and no other "$"', "aborts"],
  ["echo $HOME\n", '1:6 kaem knows ${NAME}, ${NAME:-text} and $@, and no other "$"', "aborts"],
  ["echo ${A\n", '1:6 kaem knows ${NAME}, ${NAME:-text} and $@, and no other "$"', "aborts"],
  ["A=1\necho \\${A}\n", "2:6 kaem expands a variable behind a backslash too", "1\n"],
  ["A=1\necho ${A}${B:-2}\n", '2:6 kaem takes a later ":-" for that of the first variable in a word', "2\n"],
  ['echo "a"b\n', "1:9 kaem ends a word where a string ends", "a b\n"],
  ["echo a#b\n", "1:7 kaem begins a comment here, inside of a word", "a\n"],
  ["echo a\\nb\n", "1:7 kaem reads \\n as a newline", "a\nb\n"],
  ['echo "a\\tb"\n', '1:8 in a string only \\" and \\\\ are what they are in sh', "atb\n"],
  ['echo a "" b\n', "1:8 kaem drops an empty word", "a b\n"],
  ["echo a \\\nb\necho c\n", "2:1 the line behind a backslash begins with a blank, or kaem loses its first word", "a\nc\n"],
  ["echo a", "1:7 the last line has no newline, and kaem does not run it", ""],
  ["# a", "1:4 the last line has no newline, and kaem does not run it", "aborts"],
  ['echo "a\n', "1:6 this string has no end", "aborts"],
  ["A=1 echo a\n", "1:5 kaem does not run what stands behind an assignment", ""],
  ["--a=1\necho b\n", '1:1 kaem takes a first word with a "=" for an assignment', "b\n"],
  ["if match a a; then echo b\nfi\n", '1:20 kaem does not run what stands behind "then" in its line', ""],
  ["if match a b; then\npwd\nelse echo b\nfi\n", '3:6 kaem does not run what stands behind "else" in its line', ""],
  [
    "if match a a; then\nif match a a; then\necho b\nfi\necho c\nfi\n",
    '2:1 kaem has no "if" inside of another: the first "fi" would end both',
    "b\nc\n",
  ],
  [
    "if match a b; then\nif match a b; then\necho b\nfi\necho c\nfi\n",
    '2:1 kaem has no "if" inside of another: the first "fi" would end both',
    "c\n",
  ],
  ["if cd /absent; then\necho a\nfi\n", "1:4 a condition is a program: kaem finds every builtin and assignment true", "aborts"],
  ["if A=1; then\necho a\nfi\n", "1:4 a condition is a program: kaem finds every builtin and assignment true", "a\n"],
  ["if match a b; then\necho a\n", '3:1 the if of line 1 has no "fi"', "aborts"],
  ["if match a a; then\ncd fi\necho a\nfi\n", '2:4 kaem takes this for the "fi" of the if', "aborts"],
  ["set -u\n", "1:5 set takes one word, of -a, -e and -x", "aborts"],
  ["set\n", "1:1 set takes one word, of -a, -e and -x", "aborts"],
  ["cd\n", "1:1 cd takes one folder", "aborts"],
  ["echo -n a\n", "1:6 echo has no options, and prints this word", "-n a\n"],
  ["alias b=echo\necho b\n", '2:6 kaem puts the alias "b" in here too', "echo\n"],
  ["exit 0\n", '1:1 kaem has no "exit"', "aborts"],
  [". ./a\n", '1:1 kaem has no "."', "aborts"],
];

describe("what kaem reads otherwise, by line and column", () => {
  test.each(ODD)("%j", (script, problem) => {
    expect(told(script)[0]).toBe(problem);
  });

  test.each([
    ["fi\n", '1:1 there is no "if" before this "fi"'],
    ["else\n", '1:1 there is no "if" before this "else"'],
    ["then\n", '1:1 there is no "if" before this "then"'],
    ["if a; b\nfi\n", '1:7 there is no "then" behind the if'],
    ["if\nthen\nfi\n", "1:1 there is no command behind this if"],
    ["if a; then\nelse\nelse\nfi\n", '3:1 this is the second "else" of one if'],
    ["if a; then; b\nfi\n", '1:7 in sh there is no ";" behind "then"'],
    [";\n", '1:1 there is no command before this ";"'],
    ["a=b c\n", "1:5 kaem does not run what stands behind an assignment"],
    ["9=b\n", '1:1 kaem takes a first word with a "=" for an assignment'],
    ["exec\n", "1:1 exec takes a program"],
    ["exec cd /\n", '1:6 "cd" is no program'],
    ["alias\n", "1:1 alias takes one NAME=value"],
    ["unset\n", "1:1 unset takes names"],
    ["pwd -P\n", "1:5 pwd takes no words"],
    ["a$@\n", "1:1 kaem drops what stands before $@ in a word"],
    ["${1}\n", '1:1 kaem knows ${NAME}, ${NAME:-text} and $@, and no other "$"'],
    ["a\r\n", "1:2 kaem has no carriage returns"],
    ["a\0\n", "1:2 kaem has no NULs"],
    [`${"a".repeat(4096)}\n`, "1:1 a word has at most 4095 bytes"],
    [`${"a ".repeat(512)}\n`, "1:1023 a command has at most 511 words"],
    ["a\nwhile b\n", '2:1 kaem has no "while"'],
  ])("%j", (script, problem) => {
    expect(told(script)).toContain(problem);
  });

  test("programs that are not there yet, where the caller knows them", () => {
    const programs = new Set(["match"]);
    expect(told("if match a b; then\n    touch c\n    /usr/bin/mknod d\n    ${PROGRAM} e\n    echo f\nfi\n", { programs })).toEqual([
      '2:5 there is no program "touch" yet',
    ]);
    expect(told("if test a; then\nexec mknod\nfi\n", { programs })).toEqual([
      '1:4 there is no program "test" yet',
      '2:6 there is no program "mknod" yet',
    ]);
  });

  test("all problems in the order of the text; an error names the first", () => {
    expect(told("a | b\nif c; then\nd > e\n")).toEqual([
      "1:3 kaem has no pipes",
      "3:3 kaem has no redirections",
      '4:1 the if of line 2 has no "fi"',
    ]);
    expect(() => requireKaemScript("a | b\nexit\n", "step.sh")).toThrow(
      new HiperisoError({
        what: "use a script for kaem",
        where: "step.sh:1:3",
        expected: "only what kaem can do",
        found: "kaem has no pipes (and 1 more)",
        kind: "usage",
      }),
    );
    expect(() => requireKaemScript("a b\n", "step.sh")).not.toThrow();
  });

  test("any text is judged, each problem inside of it", () => {
    const piece = fc.oneof(
      fc.constantFrom(
        "if ",
        "; then\n",
        "else\n",
        "fi\n",
        '"',
        "\\",
        "${",
        "}",
        ":-",
        "$@",
        "#",
        ";",
        "\n",
        " ",
        "alias a=",
        "=",
        "exec ",
        "\0",
      ),
      fc.string({ unit: "binary", maxLength: 4 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const script = pieces.join("");
        const lines = script.split("\n");
        for (const { line, column } of kaemProblems(script)) {
          expect(line).toBeLessThanOrEqual(lines.length);
          expect(column).toBeLessThanOrEqual(lines[line - 1]!.length + 1);
        }
      }),
    );
  });
});

describe.skipIf(noKaem !== "")(`the real kaem ${noKaem}`, () => {
  let folder: string;
  let bin: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "hiperiso-test-"));
    bin = buildKaem(folder);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const env = () => ({ PATH: `${bin}:/usr/bin:/bin`, HOME: "/" });
  function kaem(script: string): { readonly status: number | null; readonly stdout: string } {
    const file = join(folder, "script");
    writeFileSync(file, script);
    const { status, stdout } = spawnSync(join(bin, "kaem"), ["--file", file], { env: env(), cwd: folder, encoding: "latin1" });
    return { status, stdout };
  }

  test.each(ODD)("does so with %j", (script, _problem, expected) => {
    const { status, stdout } = kaem(script);
    if (expected === "aborts") expect(status).not.toBe(0);
    else expect([status, stdout]).toEqual([0, expected]);
  });

  test("does with any script that passes what bash does", () => {
    const name = fc.constantFrom("A", "B_2", "c");
    const plain = fc.string({
      unit: fc.constantFrom("a", "b", "-", "/", ".", ":", "%", "=", "+", "}", "{", "é"),
      minLength: 1,
      maxLength: 5,
    });
    const variable = fc.oneof(
      name.map((one) => `\${${one}}`),
      name.map((one) => `\${${one}:-no}`),
    );
    const part = fc.oneof(plain, variable, fc.constantFrom("\\ ", "\\\\", '\\"', "\\#", "\\;", "\\|", "\\é"));
    const inString = fc.oneof(plain, variable, fc.constantFrom(" ", ";", "#", "|", "'", '\\"', "\\\\", "\n", "*"));
    const word = fc.oneof(
      fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("")),
      fc.tuple(plain, fc.array(inString, { minLength: 1, maxLength: 4 })).map(([front, parts]) => `x${front}"${parts.join("")}"`),
    );
    const between = fc.constantFrom(" ", "\t", "  ", " \\\n ");
    const simple = fc.oneof(
      fc.array(fc.tuple(between, word), { maxLength: 3 }).map((words) => `echo _${words.map((one) => one.join("")).join("")}`),
      fc.tuple(name, word).map(([one, value]) => `${one}=${value}`),
      fc.constantFrom("cd /", "pwd", "unset B_2"),
    );
    const block = fc.array(simple, { minLength: 1, maxLength: 3 }).map((commands) => `${commands.join("\n")}\n`);
    const branch = fc
      .tuple(fc.constantFrom("match a a", "match a ${A}", "match x${B_2} x"), block, fc.option(block))
      .map(([condition, yes, no]) => `if ${condition}; then # why\n${yes}${no === null ? "" : `else\n${no}`}fi\n`);
    const script = fc.array(fc.oneof(block, branch), { minLength: 1, maxLength: 4 }).map((parts) => `A=a\nc=1\n${parts.join("")}`);
    fc.assert(
      fc.property(script, (text) => {
        fc.pre(kaemProblems(text).length === 0);
        const file = join(folder, "script");
        const ours = kaem(text);
        // bash splits the variables that stand outside of strings at blanks, and drops the empty ones: -f and an empty IFS keep the first from it.
        const bash = spawnSync("bash", ["-c", 'IFS=; set -f; . "$0"', file], { env: env(), cwd: folder, encoding: "latin1" });
        const oneLine = (output: string) => output.replace(/ +/g, " ").replace(/ $/gm, "");
        expect([ours.status, oneLine(ours.stdout)]).toEqual([bash.status, oneLine(bash.stdout)]);
      }),
      { numRuns: 300 },
    );
  });

  test("has scripts in the real tree that all pass", () => {
    const scripts = ["seed", "steps", "seed/stage0-posix"].flatMap((part) => kaemFiles(join(LIVE_BOOTSTRAP!, part), part === "steps"));
    expect(scripts.length).toBeGreaterThan(10);
    for (const script of scripts) expect(told(readFileSync(script, "latin1")), script).toEqual([]);
  });
});

const kaemFiles = (folder: string, deep: boolean): readonly string[] =>
  existsSync(folder)
    ? readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
        const path = join(folder, entry.name);
        if (entry.isDirectory()) return deep ? kaemFiles(path, deep) : [];
        return /\.kaem$|^kaem\.(run|x86|amd64)$/.test(entry.name) ? [path] : [];
      })
    : [];
