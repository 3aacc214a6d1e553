import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { placeSocket } from "../../src/session/monitor-socket.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
});
afterEach(() => rm(root, { recursive: true }));

async function placeIn(directory: string): Promise<string> {
  await mkdir(directory, { recursive: true });
  const place = await placeSocket("monitor.sock", directory, "/scratch");
  expect(await readdir(directory)).toEqual([]);
  return place;
}

test("in the session's directory, whatever its name", async () => {
  const directory = join(root, "a b,c:d=e'\"$(x)ж");
  expect(await placeIn(directory)).toBe(join(directory, "monitor.sock"));
});

test("107 bytes are a socket's address, 108 are said from the working directory", async () => {
  const room = 107 - Buffer.byteLength(join(root, "x", "monitor.sock"));
  const longest = join(root, "x".repeat(1 + room));
  expect(Buffer.byteLength(await placeIn(longest))).toBe(107);
  expect(await placeIn(`${longest}x`)).toBe("monitor.sock");
  expect(await placeIn(join(root, "ж".repeat(100)))).toBe("monitor.sock");
});

test("where no socket can be made, among the private files", async () => {
  expect(await placeSocket("monitor.sock", "/proc/self", "/scratch")).toBe("/scratch/monitor.sock");
});
