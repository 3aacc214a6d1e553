import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { takeFolderTurn } from "../../src/host/folder-turn.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-turn-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const never = new AbortController().signal;

test("one after the other, each told once that it waits", async () => {
  const order: string[] = [];
  const first = await takeFolderTurn(folder, "test", never, () => order.push("first waits"));
  const others = ["second", "third"].map(async (name) => {
    await using _turn = await takeFolderTurn(folder, "test", never, () => order.push(`${name} waits`));
    order.push(`${name} begins`);
    await new Promise((resolve) => setImmediate(resolve));
    order.push(`${name} ends`);
  });
  // A turn of another purpose is free, and so is that of another folder.
  await (await takeFolderTurn(folder, "other", never, () => order.push("wrong")))[Symbol.asyncDispose]();
  await (await takeFolderTurn(tmpdir(), "test", never, () => order.push("wrong")))[Symbol.asyncDispose]();
  order.push("first ends");
  await first[Symbol.asyncDispose]();
  await Promise.all(others);
  expect(order.filter((line) => line.endsWith("waits")).sort()).toEqual(["second waits", "third waits"]);
  const work = order.filter((line) => !line.endsWith("waits"));
  expect(work[0]).toBe("first ends");
  const [begun] = work[1]!.split(" ");
  expect(work[2]).toBe(`${begun} ends`);
  expect(work).toHaveLength(5);
});

test("who waits can give up", async () => {
  await using _turn = await takeFolderTurn(folder, "test", never, () => {});
  const abort = new AbortController();
  const waiting = takeFolderTurn(folder, "test", abort.signal, () => abort.abort(new Error("enough")));
  await expect(waiting).rejects.toThrow("enough");
  await expect(takeFolderTurn(folder, "test", abort.signal, () => {})).rejects.toThrow("enough");
});

test("a process that is killed gives its turn back", async () => {
  const { dev, ino } = statSync(folder, { bigint: true });
  const script = `require("net").createServer((s) => s.resume()).listen("\\0hiperiso-test-${dev}-${ino}", () => console.log("up"))`;
  const holder: ChildProcess = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  await once(holder.stdout!, "data");
  await using _turn = await takeFolderTurn(folder, "test", never, () => holder.kill("SIGKILL"));
  expect(holder.killed).toBe(true);
});
