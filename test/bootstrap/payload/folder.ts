/** A folder for one test, and containers in it. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { type CreateOptions, createPayload } from "../../../src/bootstrap/payload/create.ts";
import { quietJob } from "../../../src/contract/job.ts";

/** A new folder before each test; gone behind it. */
export function testFolder(): { readonly path: string; at(...names: string[]): string } {
  let path = "";
  beforeEach(() => {
    path = mkdtempSync(join(tmpdir(), "hiperiso-payload-"));
  });
  afterEach(() => rmSync(path, { recursive: true, force: true }));
  return {
    get path() {
      return path;
    },
    at: (...names) => join(path, ...names),
  };
}

/** Makes files below `folder` and gives them as sources. */
export function writeSources(folder: string, files: Readonly<Record<string, string | Uint8Array>>) {
  mkdirSync(folder, { recursive: true });
  return Object.entries(files).map(([name, content]) => {
    writeFileSync(join(folder, name), content);
    return { name, from: { file: join(folder, name) } };
  });
}

export const makeContainer = async (out: string, files: Readonly<Record<string, string>>, options: CreateOptions = {}) =>
  await createPayload(
    Object.entries(files).map(([name, text]) => ({ name, from: { bytes: new TextEncoder().encode(text) } })),
    out,
    { sync: false, ...options },
    quietJob,
  );

/** Names and contents of the files in a folder. */
export const contentsOf = (folder: string): Record<string, string> =>
  Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), "latin1")]));

export const thrownBy = async (work: Promise<unknown>): Promise<unknown> => {
  try {
    await work;
    return undefined;
  } catch (error) {
    return error;
  }
};
