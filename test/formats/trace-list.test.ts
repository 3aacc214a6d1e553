import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeTraceDeclarations } from "../../src/formats/trace-declarations.ts";
import { decodeTraceList, encodeTraceList, traceListFilter, tracePatternTest } from "../../src/formats/trace-list.ts";
import { ownTraceList } from "../../src/host/trace-files.ts";
import { installedEvents } from "./trace-events.ts";

describe("a list of trace events", () => {
  test("has names and patterns, comments, and lines that take away; the last that names an event decides", () => {
    const list = decodeTraceList("# comment\n\n blk_* \r\n-blk_co_*\nblk_co_preadv\nide_?md\nnot an event\n-\n");
    expect(list.map(({ pattern, on }) => `${on ? "+" : "-"}${pattern}`)).toEqual(["+blk_*", "-blk_co_*", "+blk_co_preadv", "+ide_?md"]);
    const has = traceListFilter(list);
    expect(["blk_root_attach", "blk_co_pwritev", "blk_co_preadv", "ide_cmd", "ide_xcmd", "runstate_set"].map(has)).toEqual([
      true,
      false,
      true,
      true,
      false,
      false,
    ]);
  });

  test("goes to QEMU without names that it would warn of", () => {
    const list = decodeTraceList("known\nunknown\nun*\n-gone\n-known_too\n");
    expect(encodeTraceList(list, (name) => name.startsWith("known"))).toBe("known\nun*\n-known_too\n");
  });

  test("patterns match as a regular expression would, and are never slow", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[ab*?]{1,8}$/), fc.stringMatching(/^[ab]{0,10}$/), (pattern, name) => {
        const expected = new RegExp(`^${pattern.replaceAll("*", ".*").replaceAll("?", ".")}$`).test(name);
        expect(tracePatternTest(pattern)(name), `${pattern} ${name}`).toBe(expected);
      }),
      { numRuns: 2000 },
    );
    expect(tracePatternTest("*a".repeat(60))("a".repeat(50))).toBe(false);
  });

  test.skipIf(installedEvents === undefined)("ours name only events that QEMU has, and each tier has all of the one below it", () => {
    const { order } = decodeTraceDeclarations(installedEvents!);
    const known = new Set(order);
    let below: readonly string[] = [];
    for (const tier of ["standard", "detailed", "full"] as const) {
      const names = decodeTraceList(readFileSync(ownTraceList(tier), "utf8")).map(({ pattern }) => pattern);
      expect(names.filter((name) => !known.has(name))).toEqual([]);
      expect(names.slice(0, below.length)).toEqual(below);
      expect(names.length).toBeGreaterThan(below.length);
      expect(new Set(names).size).toBe(names.length);
      below = names;
    }
  });
});
