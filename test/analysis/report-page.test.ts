import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { analyseSession } from "../../src/analysis/analyse.ts";
import { hasRoomFor } from "../../src/analysis/report-page.ts";
import { HEALTHY } from "./composed-logs.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "hiperiso-page-"));
  await put("serial.log", HEALTHY);
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

const put = (name: string, content: string) => writeFile(join(directory, name), content);

async function pageOf(): Promise<string> {
  await analyseSession(directory);
  return await readFile(join(directory, "report.html"), "utf8");
}

describe("report.html", () => {
  test("is the same while a session runs and when it has ended", async () => {
    const started = {
      session_id: "a.iso_20260101T000000Z",
      status: "started",
      iso_path: "/ISOs/a.iso",
      iso_basename: "a.iso",
      log_dir: "/hiperiso/logs/a.iso_20260101T000000Z",
      start_time_utc: "2026-01-01T00:00:00Z",
      kvm: "unknown",
      trace_level: "none",
      guest_ram_mb: 512,
      guest_cpus: 1,
    };
    await put("session.json", JSON.stringify(started));
    const first = await pageOf();
    await put("session.json", JSON.stringify({ ...started, status: "complete", kvm: "available", qemu_exit_code: 0 }));
    expect(await pageOf()).toBe(first);
    expect(first).toContain("Report on the boot of a.iso, 2026-01-01 00:00:00 UTC");
  });

  test.each(["", "{", "[]", '{"session_id":1}', "null"])("does without a session.json that holds %j", async (content) => {
    await put("session.json", content);
    expect(await pageOf()).toContain("Report on a console log");
  });

  test("holds no file that a link points to from among the screenshots", async () => {
    await symlink("/etc/hostname", join(directory, "screen-link.png"));
    expect(await pageOf()).not.toContain("screen-link");
  });
});

describe("room for a page", () => {
  test("is what is free beyond what closes a session", () => {
    const free = (bytes: number) => ({ blocks: 1000, bavail: bytes / 512, bsize: 512 });
    expect(hasRoomFor(100_000, free(4 * 1024 * 1024))).toBe(true);
    expect(hasRoomFor(100_000, free(2 * 1024 * 1024))).toBe(false);
    expect(hasRoomFor(100_000, free(0))).toBe(false);
  });

  test("is tried where the file system does not tell", () => {
    expect(hasRoomFor(100_000, { blocks: 0, bavail: 0, bsize: 4096 })).toBe(true);
  });
});
