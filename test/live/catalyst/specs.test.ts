import { describe, expect, test } from "vitest";
import { decodeCatalystSpec } from "../../../src/live/catalyst/spec-file.ts";
import { checkSpecs } from "../../../src/live/catalyst/specs.ts";

const read = (...texts: readonly string[]) => checkSpecs(texts.map((text, at) => decodeCatalystSpec(text, `${at}.spec`)));
const COMMON = "subarch: amd64\nversion_stamp: 1\nrel_type: default\nprofile: p\nsnapshot_treeish: s\nsource_subpath: default/stage3\n";
const STAGE1 = `target: livecd-stage1\n${COMMON}livecd/packages: vim\n`;
const STAGE2 = `target: livecd-stage2\n${COMMON}boot/kernel: one\nboot/kernel/one/sources: linux\n`;

describe("specs for one medium", () => {
  test("either or both, in any order", () => {
    const both = read(STAGE2, STAGE1);
    expect([both.stage1?.words("livecd/packages"), both.stage2?.words("boot/kernel")]).toEqual([["vim"], ["one"]]);
    expect(read(STAGE1).stage2).toBeUndefined();
    expect(read(STAGE2).stage1).toBeUndefined();
  });

  test.each<[string, readonly string[], RegExp]>([
    [
      "a target of another kind",
      ["subarch: amd64\ntarget: stage4\n"],
      /0\.spec:2: expected target: livecd-stage1 or livecd-stage2, found the target stage4/,
    ],
    ["no target", ["subarch: amd64\n"], /0\.spec:1: .*found no target/],
    ["two of one target", [STAGE1, STAGE1], /1\.spec: a second spec for livecd-stage1; the first is 0\.spec/],
    ["a missing key", ["target: livecd-stage1\nsource_subpath: x\n"], /0\.spec: the key livecd\/packages is missing/],
    ["no seed", ["target: livecd-stage1\nlivecd/packages: x\n"], /the key source_subpath is missing/],
    ["two values where one is taken", [`${STAGE2}livecd/fstype: squashfs jffs2\n`], /0\.spec:10: livecd\/fstype takes one value, found 2/],
    ["what catalyst would not read", [`${STAGE1}x y: 1\n`], /0\.spec:9: a line with a colon begins a key/],
  ])("refused, by line: %s", (_, texts, message) => {
    expect(() => read(...texts)).toThrow(message);
  });

  test("all that is wrong is told at once", () => {
    expect(() => read("target: livecd-stage1\na b: 1\nword\n: x\n")).toThrow(
      /0\.spec:2: .*\n.*0\.spec:4: .*\n(.*\n)*.*livecd\/packages is missing/,
    );
  });
});

describe("what is not carried over has a line and a reason", () => {
  const reasons = (text: string) => Object.fromEntries(read(text).notCarried.map(({ key, line, because }) => [key, `${line}: ${because}`]));

  test("keys without a counterpart", () => {
    expect(reasons(`${STAGE1}livecd/use: -X\ncflags: -O2\n`)).toMatchObject({
      profile: expect.stringMatching(/^5: /),
      "livecd/use": "9: packages come built: nothing is compiled here",
      cflags: expect.stringMatching(/^10: /),
    });
  });

  test("keys that catalyst does not know, or not there", () => {
    expect(
      reasons(`${STAGE2}livecd/modblacklst: x\nlivecd/packages: y\nboot/kernel/two/sources: z\nboot/kernel/one/source: z\nxyzzy: 1\n`),
    ).toMatchObject({
      "livecd/modblacklst": "10: catalyst has no such key; did you mean livecd/modblacklist?",
      "livecd/packages": "11: catalyst knows it for livecd-stage1 only",
      "boot/kernel/two/sources": '12: there is no kernel "two" in boot/kernel',
      "boot/kernel/one/source": "13: catalyst has no such key; did you mean boot/kernel/one/sources?",
      xyzzy: "14: catalyst has no such key",
    });
  });
});
