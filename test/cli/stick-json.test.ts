import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type * as z from "zod";
import {
  stickAddedSchema,
  stickConfigSchema,
  stickCreatedSchema,
  stickListedSchema,
  stickPersistenceSchema,
  stickPulledSchema,
  stickRemovedSchema,
  stickUpdatedSchema,
  stickVerifiedSchema,
} from "../../src/contract/stick-answers.ts";
import { SessionDirectory } from "../../src/session/directory.ts";
import { hasTool, MIB } from "../disk/disk-images.ts";
import { deadOwner, newSession, setClock } from "../session/fixtures.ts";
import { isoBytes, put, runtimeFolder, stick } from "./stick-commands.ts";

/** What a command prints, held to its schema; a field that the schema does not name is a fault too. */
async function answer<T>(schema: z.ZodType<T>, ...words: string[]): Promise<T> {
  const { stdout, stderr } = await stick([...words, "--json"]);
  expect(stdout, stderr).not.toBe("");
  const value: unknown = JSON.parse(stdout);
  const parsed = schema.parse(value);
  expect(parsed).toEqual(value);
  return parsed;
}

describe("what a stick's commands print as JSON is what their schemas say", () => {
  let folder: string;
  let image: string;
  let runtime: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "hiperiso-stick-json-"));
    image = join(folder, "stick.img");
    runtime = runtimeFolder(join(folder, "runtime"));
    put(folder, { "isos/a.iso": isoBytes(MIB, 1), "b.iso": isoBytes(MIB, 2), "good.json": "{}", "bad.json": '{ "contrl": 1 }' });
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("of a stick's life, from its plan to its update", async () => {
    const create = ["create", image, "--size", "96M", "--iso", join(folder, "isos"), "--runtime", runtime];
    const planned = await answer(stickCreatedSchema, ...create, "--dry-run");
    expect(planned).toMatchObject({ dryRun: true, boots: true, images: [{ path: "/ISOs/a.iso", sha256: null }] });
    const made = await answer(stickCreatedSchema, ...create);
    expect(made).toMatchObject({ dryRun: false, images: [{ sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }] });

    expect(await answer(stickAddedSchema, "add", image, join(folder, "b.iso"), "--dry-run")).toMatchObject({ dryRun: true });
    const added = await answer(stickAddedSchema, "add", image, join(folder, "isos"), join(folder, "b.iso"));
    expect(added).toMatchObject({ images: [{ path: "/ISOs/b.iso", replaces: null }], skipped: [{ path: "/ISOs/a.iso" }] });
    expect((await answer(stickListedSchema, "list", image)).images.map(({ state }) => state)).toEqual(["added", "added"]);
    expect(await answer(stickRemovedSchema, "remove", image, "b.iso")).toEqual({ removed: ["/ISOs/b.iso"] });

    expect(await answer(stickConfigSchema, "config", image, join(folder, "good.json"))).toMatchObject({ written: true, errors: 0 });
    const refused = await answer(stickConfigSchema, "config", image, join(folder, "bad.json"));
    expect(refused).toMatchObject({ written: false, errors: 1, findings: [{ line: 1, severity: "error" }] });

    expect(await answer(stickVerifiedSchema, "verify", image)).toMatchObject({ clean: true, imagesChecked: 1, problems: [] });
    await stick(["config", image, join(folder, "bad.json"), "--force"]);
    expect(await answer(stickVerifiedSchema, "verify", image)).toMatchObject({ clean: false, problems: [{ id: "config" }] });
    const updated = await answer(stickUpdatedSchema, "update", image, "--runtime", runtime);
    expect(updated).toMatchObject({ dryRun: false, before: updated.after });
  });

  test("of sessions", async () => {
    const mounted = join(folder, "mounted");
    mkdirSync(join(mounted, "hiperiso"), { recursive: true });
    expect(await answer(stickPulledSchema, "pull", "--mounted", mounted, "--list")).toEqual({ sessions: [] });
    const owner = { ...deadOwner(), boot_id: "00000000-0000-0000-0000-000000000000" };
    const { id } = await SessionDirectory.create(newSession(join(mounted, "hiperiso/logs"), { owner, imageBaseName: "a.iso" }), setClock());
    const pull = ["pull", "--mounted", mounted, "--to", join(folder, "home")];
    expect(await answer(stickPulledSchema, ...pull)).toMatchObject({
      sessions: [{ id, state: "cut off" }],
      copied: [{ id, closed: true }],
    });
    expect(await answer(stickPulledSchema, ...pull)).toMatchObject({ copied: [], here: [id] });
  });

  test.skipIf(!hasTool("mke2fs"))("of a persistence image", async () => {
    const path = join(folder, "a.dat");
    const made = await answer(stickPersistenceSchema, "persistence", path, "--size", "32M");
    expect(made).toEqual({ path, label: "persistence", sizeBytes: 32 * MIB });
  });
});
