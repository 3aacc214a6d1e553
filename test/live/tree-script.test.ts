import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { interpreterOf, ReadingPlace } from "../../src/live/tree-script.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-script-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const SHELLS = [["sh"], ["bash"], ["dash"], ["busybox", "sh"]].filter(([program]) => spawnSync(program!, ["--help"]).error === undefined);

/** Line by line what a shell would be told, with the line at which it must stop. */
const SCRIPTS: readonly (readonly [string, number])[] = [
  ["true\nfalse\ntrue\n", 2],
  ["#!/bin/sh\n\n# comment\nprintf 'no line end' >&2\nfalse\necho never\n", 5],
  ['f() {\n  true\n  false\n}\nx=$(echo hi 2>&1)\ntest "$x" = hi\nf\necho never\n', 7],
  ["echo false >&2\ntrue\ncat <<END >&2\ntrue\nfalse\nEND\nexit 3\n", 7],
  ["for i in 1 2; do\n  echo $i\ndone\nfalse", 4],
];

describe("a script that fails", () => {
  test.each(SHELLS.flatMap((shell) => SCRIPTS.map(([text, line]) => [shell.join(" "), JSON.stringify(text), shell, text, line] as const)))(
    "in %s is told with its line: %s",
    async (_, __, [program, ...words], text, line) => {
      const path = join(folder, "script");
      await writeFile(path, text);
      const { stderr, status } = spawnSync(program!, [...words, "-e", "-v", path]);
      expect(status).not.toBe(0);
      const place = new ReadingPlace(text);
      for (const byte of stderr) place.hear(Uint8Array.of(byte));
      expect(place.line).toBe(line);
    },
  );

  test("is never placed behind its end, whatever it prints", () => {
    fc.assert(
      fc.property(fc.array(fc.string()), fc.array(fc.uint8Array()), (lines, printed) => {
        const place = new ReadingPlace(lines.join("\n"));
        for (const chunk of printed) place.hear(chunk);
        expect(place.line).toBeLessThanOrEqual(Math.max(lines.join("\n").split("\n").length, 1));
      }),
    );
  });
});

test.each([
  ["echo\n", ["/bin/sh"]],
  ["#!/bin/bash -u\n", ["/bin/bash", "-u"]],
  ["#! /usr/bin/env python3\nx", ["/usr/bin/env", "python3"]],
  ["#!\n", ["/bin/sh"]],
])("the interpreter of %j is %j", (text, words) => {
  expect(interpreterOf(text)).toEqual(words);
});
