/** What of a Ventoy stick's data partition decides the translation: its `ventoy.json`, its images, and whether files are there that it names. */
import { parseVentoyJson, VENTOY_JSON_BYTES_MAX, type VentoyFile, type VentoyFinding, type VentoyMode } from "../../config/ventoy-json.ts";
import { ADOPTION } from "../../contract/adoption.ts";
import { HiperisoError } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import { STICK_DATA } from "../../contract/stick.ts";
import { byteText, readable } from "../../formats/byte-text.ts";
import { readDataFile, type StickData } from "../data.ts";
import { referencedPaths, type VentoyFacts } from "./translate.ts";

export interface VentoyReading {
  readonly facts: VentoyFacts;
  /** There is a `ventoy.json`. */
  readonly found: boolean;
  readonly findings: readonly VentoyFinding[];
  /** Folders or files were more than were looked at. */
  readonly cut: boolean;
}

const DEPTH_MAX = 32;
const FILES_MAX = 20_000;
const IGNORE = ".ventoyignore";
const IMAGE = /\.(?:iso|wim|vhdx?|efi|img|vtoy|raw|qcow2|vmdk|vdi)$/i;

/** Reads alone. */
export async function readVentoy(data: StickData, mode: VentoyMode, job: Job): Promise<VentoyReading> {
  const { tree, at } = data;
  const bytes = await readConfigBytes(data);
  const { config, findings } =
    bytes instanceof Uint8Array ? parseVentoyJson(bytes, mode) : parseVentoyJson(new TextEncoder().encode("{}"), mode);
  const there = new Set<string>();
  for (const path of referencedPaths(config)) {
    // A path with `.` or an empty part leads nowhere on a volume.
    const stat = await tree.stat(at(readable(path))).catch((error: unknown) => {
      if (error instanceof HiperisoError) return undefined;
      throw error;
    });
    if (stat?.kind === "file") there.add(path);
  }
  const scan = await scanFolders(data, job);
  return {
    facts: { config, files: scan.files, ignored: scan.ignored, exists: (path) => there.has(path) },
    found: bytes !== undefined,
    findings: bytes instanceof HiperisoError ? [{ line: 1, column: 1, message: bytes.message }] : findings,
    cut: scan.cut,
  };
}

async function readConfigBytes(data: StickData): Promise<Uint8Array | HiperisoError | undefined> {
  try {
    return await readDataFile(data, ADOPTION.ventoyConfig, VENTOY_JSON_BYTES_MAX);
  } catch (error) {
    if (error instanceof HiperisoError) return error;
    throw error;
  }
}

async function scanFolders(
  { tree, at }: StickData,
  { signal }: Job,
): Promise<{ readonly files: readonly VentoyFile[]; readonly ignored: readonly string[]; readonly cut: boolean }> {
  const files: VentoyFile[] = [];
  const ignored: string[] = [];
  let cut = false;
  const visit = async (folder: string, depth: number): Promise<void> => {
    signal.throwIfAborted();
    const entries = [];
    for await (const entry of tree.list(at(folder))) entries.push(entry);
    // Ventoy looks for it in every folder but the one that it begins in.
    if (depth > 0 && entries.some(({ name, kind }) => name === IGNORE && kind === "file")) {
      ignored.push(folder);
      return;
    }
    for (const { name, kind, sizeBytes } of entries.sort((a, b) => ((a.name ?? "") < (b.name ?? "") ? -1 : 1))) {
      if (name === undefined || /\p{Surrogate}/u.test(name)) continue;
      const path = folder === "/" ? `/${name}` : `${folder}/${name}`;
      if (files.length >= FILES_MAX || depth > DEPTH_MAX) {
        cut = true;
        return;
      }
      if (kind === "directory") {
        if (path !== STICK_DATA.folder) await visit(path, depth + 1);
      } else if (kind === "file" && IMAGE.test(name)) files.push({ path: byteText(path), sizeBytes });
    }
  };
  await visit("/", 0);
  return { files, ignored, cut };
}
