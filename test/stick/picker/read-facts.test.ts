import { describe, expect, test } from "vitest";
import { quietJob } from "../../../src/contract/job.ts";
import type { IndexLine } from "../../../src/contract/session.ts";
import { makeDataFolders, type StickData, writeDataFile } from "../../../src/stick/data.ts";
import { lookIntoImage, readPickerFacts } from "../../../src/stick/picker/read-facts.ts";
import { isoBytes } from "../../cli/stick-commands.ts";
import { ImageFolder, memoryStick, NOW_MS, onData } from "../memory-stick.ts";

const put = async (data: StickData, path: string, content: string | Uint8Array): Promise<void> => {
  await makeDataFolders(data, path.slice(0, path.lastIndexOf("/")) || "/", NOW_MS);
  await writeDataFile(data, path, typeof content === "string" ? Buffer.from(content) : content, NOW_MS, quietJob);
};

const line = (more: Partial<IndexLine>): string =>
  `${JSON.stringify({
    session_id: "a_1",
    status: "complete",
    result: "success",
    iso_basename: "a.iso",
    iso_path: "/ISOs/a.iso",
    log_dir: "/hiperiso/logs/a_1",
    start_time_utc: "2026-11-20T10:00:00Z",
    end_time_utc: "2026-11-20T10:01:00Z",
    kvm: "available",
    trace_level: "standard",
    qemu_exit_code: 0,
    report_available: 1,
    boot_result: "success",
    boot_stage_final: "login",
    failure_domain: "none",
    graphics_drivers: "",
    ...more,
  })}\n`;

const wish = { title: "HIPERISO", said: {}, waysOut: [] };

describe("what the picker shows of a stick", () => {
  test("images with alias, tip, entries and locks; hidden ones and those in other folders are not there", async () => {
    using folder = new ImageFolder();
    const medium = await memoryStick([await folder.image("a.iso", isoBytes(65_536, 1))]);
    await onData(medium, async (data) => {
      for (const path of ["/ISOs/b.iso", "/ISOs/hidden.iso", "/ISOs/deep/down/c.iso", "/more/d.img", "/elsewhere/e.iso"])
        await put(data, path, isoBytes(65_536, 2));
      const config = {
        control: {
          image_folders: ["/ISOs", "/more"],
          image_depth: 1,
          hidden_images: ["hidden*"],
          image_passwords: [{ iso: "b.iso", password: "x" }],
        },
        menu_alias: [{ iso: "a.iso", alias: "The first" }],
        menu_tip: [{ iso: "*.img", tip: "a disk" }],
        choices: [{ iso: "a.iso", entries: [{ name: "by a file", settings: { auto_install: "/auto.cfg" } }] }],
      };
      await put(data, "/hiperiso/hiperiso.json", JSON.stringify(config));
      const facts = await readPickerFacts(data, wish, quietJob);
      expect(facts.notes).toEqual([]);
      expect(facts.images.map(({ path, title, tip, state, isLocked }) => ({ path, title, tip, state, isLocked }))).toEqual([
        { path: "/ISOs/a.iso", title: "The first", tip: undefined, state: "added", isLocked: false },
        { path: "/ISOs/b.iso", title: "b.iso", tip: undefined, state: "copied", isLocked: true },
        { path: "/more/d.img", title: "d.img", tip: "a disk", state: "copied", isLocked: false },
      ]);
      expect(facts.images[0]?.entries).toEqual([{ name: "by a file", settings: { autoInstall: "/auto.cfg" } }]);
      expect(facts.freeBytes).toBeGreaterThan(0n);
    });
  });

  test("sessions, newest first, also those of which only the index is left", async () => {
    const medium = await memoryStick();
    await onData(medium, async (data) => {
      const second = {
        session_id: "a_2",
        start_time_utc: "2026-11-21T10:00:00Z",
        result: "failure" as const,
        boot_stage_final: "kernel" as const,
      };
      await put(data, "/hiperiso/logs/index.jsonl", line({}) + line(second));
      const { sessions } = await readPickerFacts(data, wish, quietJob);
      expect(sessions.map(({ id, imagePath, result, stage }) => [id, imagePath, result, stage])).toEqual([
        ["a_2", "/ISOs/a.iso", "failure", "kernel"],
        ["a_1", "/ISOs/a.iso", "success", "login"],
      ]);
    });
  });

  test("files that a setting could name, without those of sessions", async () => {
    const medium = await memoryStick();
    await onData(medium, async (data) => {
      for (const path of [
        "/p/a.dat",
        "/auto/x.ks",
        "/auto/user-data.yaml",
        "/i/files.tar.gz",
        "/drivers/dud-net.iso",
        "/hiperiso/logs/s/x.dat",
        "/readme.txt",
      ])
        await put(data, path, "x");
      const { files } = await readPickerFacts(data, wish, quietJob);
      expect(files).toEqual({
        persistence: ["/p/a.dat"],
        autoInstall: ["/auto/user-data.yaml", "/auto/x.ks"],
        injection: ["/i/files.tar.gz"],
        dud: ["/drivers/dud-net.iso"],
      });
    });
  });

  test("a broken configuration or record is a line, and the rest is shown", async () => {
    const medium = await memoryStick();
    await onData(medium, async (data) => {
      await put(data, "/ISOs/b.iso", isoBytes(65_536, 2));
      await put(data, "/hiperiso/hiperiso.json", '{ "control": { "default_ram": }\n');
      await put(data, "/hiperiso/images.json", "no JSON");
      const facts = await readPickerFacts(data, wish, quietJob);
      expect(facts.images.map(({ path }) => path)).toEqual(["/ISOs/b.iso"]);
      expect(facts.notes[0]).toMatch(/^\/hiperiso\/hiperiso\.json:1:\d+: /);
      expect(facts.notes[1]).toMatch(/^\/hiperiso\/images\.json cannot be used/);
    });
  });

  test("a look into an image reads it where it lies, in pieces", async () => {
    using folder = new ImageFolder();
    const medium = await memoryStick([await folder.image("a.iso", isoBytes(1 << 20, 1))]);
    await onData(medium, async (data) => {
      const found = await lookIntoImage(data, "/ISOs/a.iso", quietJob.signal);
      expect(found.type === "read" && found.facts.kind).toBe("iso9660");
      expect(found.type === "read" && found.facts.boots.uefi.cd.can).toBe(false);
      await put(data, "/ISOs/nothing.img", new Uint8Array(4096));
      const nothing = await lookIntoImage(data, "/ISOs/nothing.img", quietJob.signal);
      expect(nothing.type === "read" && nothing.facts.kind).toBe("unknown");
    });
  });
});
