import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import * as z from "zod";
import { type KeptAnswer, keptOr } from "../../src/host/kept-answer.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
});
afterEach(() => rm(folder, { recursive: true }));

const schema = z.object({ number: z.int() });
const kept = (other: Partial<KeptAnswer<{ number: number }>> = {}): KeptAnswer<{ number: number }> => ({
  folder: join(folder, "cache"),
  name: "answer.json",
  basis: ["a", "b"],
  schema,
  holds: () => true,
  signal: new AbortController().signal,
  ...other,
});
const answering = (number: number) => () => Promise.resolve({ number });

test("the first answer is kept, and no file but its own", async () => {
  expect(await keptOr(kept(), answering(1))).toEqual({ number: 1 });
  expect(await keptOr(kept(), answering(2))).toEqual({ number: 1 });
  expect(await readdir(join(folder, "cache"))).toEqual(["answer.json"]);
});

test.each([
  ["another basis", { basis: ["a", "c"] }],
  ["a basis with less in it", { basis: ["a"] }],
  ["a basis with more in it", { basis: ["a", "b", "c"] }],
  ["an answer that no longer holds", { holds: ({ number }: { number: number }) => number !== 1 }],
])("%s: asked again", async (_, other) => {
  await keptOr(kept(), answering(1));
  expect(await keptOr(kept(other), answering(2))).toEqual({ number: 2 });
});

test.each([
  "",
  "{",
  "null",
  "[]",
  '{"basis":["a","b"]}',
  '{"basis":["a","b"],"answer":{"number":"1"}}',
  '{"basis":"ab","answer":{"number":1}}',
])("a file that holds %j is no answer, and is replaced", async (content) => {
  await mkdir(join(folder, "cache"));
  await writeFile(join(folder, "cache", "answer.json"), content);
  expect(await keptOr(kept(), answering(2))).toEqual({ number: 2 });
  expect(JSON.parse(await readFile(join(folder, "cache", "answer.json"), "utf8"))).toEqual({ basis: ["a", "b"], answer: { number: 2 } });
});

test("an answer that does not hold even now is not kept", async () => {
  expect(await keptOr(kept({ holds: () => false }), answering(1))).toEqual({ number: 1 });
  expect(await readdir(join(folder, "cache"))).toEqual([]);
});

test("an error of the question is the caller's, asked once", async () => {
  let asked = 0;
  const failing = () => {
    asked++;
    return Promise.reject(new Error("no answer"));
  };
  await expect(keptOr(kept(), failing)).rejects.toThrow("no answer");
  expect(asked).toBe(1);
});

test("a folder that cannot be made keeps nothing and stops nothing", async () => {
  await writeFile(join(folder, "file"), "");
  expect(await keptOr(kept({ folder: join(folder, "file/cache") }), answering(1))).toEqual({ number: 1 });
});

test("whoever waits for another's answer can be cancelled", async () => {
  let answer: (value: { number: number }) => void = () => {};
  let slow: Promise<{ number: number }> | undefined;
  await new Promise<void>((asked) => {
    slow = keptOr(kept(), () => {
      asked();
      return new Promise((resolve) => {
        answer = resolve;
      });
    });
  });
  const cancel = new AbortController();
  const waiting = keptOr(kept({ signal: cancel.signal }), answering(2));
  cancel.abort();
  await expect(waiting).rejects.toThrow(/abort/);
  answer({ number: 1 });
  expect(await slow).toEqual({ number: 1 });
});
