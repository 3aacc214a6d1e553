/** Is a stick still what was written to it: its table, both file systems, the files that boot, the images. */
import { CONFIG_FILE_BYTES_MAX, decodeConfig } from "../config/config-file.ts";
import { HiperisoError } from "../contract/error.ts";
import { type Job, silentProgress } from "../contract/job.ts";
import { STICK_DATA, STICK_ESP, type StickManifest } from "../contract/stick.ts";
import type { STICK_PROBLEMS } from "../contract/stick-answers.ts";
import { checkVolume, openVolume } from "../disk/open-volume.ts";
import { recognise } from "../disk/recognise.ts";
import type { Volume } from "../disk/volume.ts";
import { sha256Stream } from "../host/stream-hash.ts";
import { readDataFile, type StickData, volumeData } from "./data.ts";
import { readImageRecord } from "./image-record.ts";
import { decodeManifest, MANIFEST_BYTES_MAX } from "./manifest.ts";
import type { OpenStick } from "./open-stick.ts";

/** Stable, for programs. */
export type StickProblemId = (typeof STICK_PROBLEMS)[number];

export interface StickProblem {
  readonly id: StickProblemId;
  /** On the stick; undefined for what is about a partition or the whole. */
  readonly path: string | undefined;
  readonly text: string;
  /** What mends it, a whole sentence; undefined where nothing here does. */
  readonly hint: string | undefined;
}

export interface StickCheck {
  readonly problems: readonly StickProblem[];
  /** What a person may want to know, and is no damage. */
  readonly notes: readonly string[];
  readonly imagesChecked: number;
  readonly espFilesChecked: number;
}

export interface VerifyOptions {
  /** False: images are looked at, and their bytes are not read. */
  readonly contents: boolean;
}

class Findings {
  readonly problems: StickProblem[] = [];
  readonly notes: string[] = [];
  imagesChecked = 0;
  espFilesChecked = 0;

  add(id: StickProblemId, path: string | undefined, text: string, hint?: string): void {
    this.problems.push({ id, path, text, hint });
  }
}

const REPAIR_HINT = "`hiperiso disk repair` mends what can be mended.";
const UPDATE_HINT = "`hiperiso stick update` makes the boot partition anew.";

/** All of the stick. Throws HiperisoError only where the medium cannot be read. */
export async function verifyStick(stick: OpenStick, options: VerifyOptions, job: Job): Promise<StickCheck> {
  const findings = new Findings();
  for (const { text, mending } of stick.contents.table?.problems ?? [])
    findings.add("table", undefined, text, mending === undefined ? undefined : REPAIR_HINT);
  await verifyEsp(stick, findings, job);
  const quiet: Job = { ...job, progress: { ...silentProgress, begin: (title, total) => job.progress.begin(title, total) } };
  const checked = await checkVolume(stick.dataStore, quiet);
  if (checked === undefined) {
    const found = (await recognise(stick.dataStore))?.format ?? "nothing that is known";
    findings.add("data-format", undefined, `the data partition holds ${found} and not exFAT`, FORMAT_HINT);
    return findings;
  }
  if (checked.format !== "exfat")
    findings.add("data-format", undefined, `the data partition was formatted as ${checked.format} and not as exFAT`, FORMAT_HINT);
  for (const { path, text, mending } of checked.problems)
    findings.add("data-file-system", path, text, mending === undefined ? undefined : REPAIR_HINT);
  if (checked.fatal !== undefined) {
    findings.add("data-file-system", undefined, checked.fatal.message, REPAIR_HINT);
    return findings;
  }
  await using volume = await openVolume(stick.dataStore, { readOnly: true }, quiet);
  await verifyData(volumeData(volume, stick.dataStore), options, findings, job);
  return findings;
}

const FORMAT_HINT = "Take off what you need, then make the stick anew with `hiperiso stick create`.";

/** The data partition alone: what can be looked at where it is mounted. */
export async function verifyMounted(data: StickData, options: VerifyOptions, job: Job): Promise<StickCheck> {
  const findings = new Findings();
  await verifyData(data, options, findings, job);
  return findings;
}

async function verifyEsp(stick: OpenStick, findings: Findings, job: Job): Promise<void> {
  const quiet: Job = { ...job, progress: silentProgress };
  const checked = await checkVolume(stick.espStore, quiet);
  if (checked === undefined || checked.fatal !== undefined) {
    const found = checked?.fatal?.message ?? `it holds ${(await recognise(stick.espStore))?.format ?? "nothing that is known"}`;
    findings.add("esp-file-system", undefined, `the boot partition cannot be read: ${found}`, UPDATE_HINT);
    return;
  }
  for (const { path, text } of checked.problems) findings.add("esp-file-system", path, text, UPDATE_HINT);
  await using volume = await openVolume(stick.espStore, { readOnly: true }, quiet);
  const manifest = await readManifest(volume, stick.espStore.name);
  if (manifest instanceof HiperisoError) {
    findings.add("esp-manifest", STICK_ESP.manifest, manifest.message, UPDATE_HINT);
    return;
  }
  if (manifest.disk_guid !== stick.diskGuid)
    findings.add(
      "esp-manifest",
      STICK_ESP.manifest,
      `it is of another stick, ${manifest.disk_guid}: this one is ${stick.diskGuid}`,
      UPDATE_HINT,
    );
  for (const { path, size_bytes: size, sha256, generated } of manifest.files) {
    job.signal.throwIfAborted();
    findings.espFilesChecked += 1;
    const there = await volume.stat(path);
    if (there === undefined) findings.add("esp-file-missing", path, "it is gone", UPDATE_HINT);
    else if (generated)
      continue; // made anew by the stick itself
    else if (there.sizeBytes !== BigInt(size))
      findings.add("esp-file-changed", path, `${there.sizeBytes} bytes, written were ${size}`, UPDATE_HINT);
    else if ((await sumOf(volume.read(path), size, job)) !== sha256)
      findings.add("esp-file-changed", path, "other bytes than were written", UPDATE_HINT);
  }
}

export async function readManifest(volume: Volume, where: string): Promise<StickManifest | HiperisoError> {
  try {
    const there = await volume.stat(STICK_ESP.manifest);
    const missing = { what: "read the stick's manifest", where: `${where}${STICK_ESP.manifest}` };
    if (there?.kind !== "file") return new HiperisoError({ ...missing, found: "none" });
    if (there.sizeBytes > BigInt(MANIFEST_BYTES_MAX)) return new HiperisoError({ ...missing, found: `${there.sizeBytes} bytes` });
    const pieces: Uint8Array[] = [];
    for await (const piece of volume.read(STICK_ESP.manifest)) pieces.push(piece);
    return decodeManifest(Buffer.concat(pieces), `${where}${STICK_ESP.manifest}`);
  } catch (error) {
    if (error instanceof HiperisoError) return error;
    throw error;
  }
}

async function sumOf(
  pieces: AsyncIterable<Uint8Array>,
  sizeBytes: number,
  { signal }: Job,
  advance: (bytes: number) => void = () => {},
): Promise<string> {
  await using hash = sha256Stream(BigInt(sizeBytes));
  for await (const piece of pieces) {
    signal.throwIfAborted();
    await hash.update(piece);
    advance(piece.length);
  }
  return await hash.digest();
}

async function verifyData(data: StickData, { contents }: VerifyOptions, findings: Findings, job: Job): Promise<void> {
  const { tree, at } = data;
  if ((await tree.stat(at(STICK_DATA.folder)))?.kind !== "directory")
    findings.notes.push("there is no folder /hiperiso: the data partition was emptied or formatted by hand; `stick add` makes it again");
  const { images, damage } = await readImageRecord(data);
  if (damage !== undefined) findings.add("images-record", STICK_DATA.record, damage, "`stick add` writes it anew.");
  const total = images.reduce((sum, { size_bytes: size }) => sum + BigInt(size), 0n);
  const step = contents ? job.progress.begin("read the images", total) : undefined;
  for (const { path, size_bytes: size, sha256 } of images) {
    const there = await tree.stat(at(path));
    findings.imagesChecked += 1;
    if (there?.kind !== "file") {
      findings.add("image-missing", path, "it is gone", "`stick remove` takes it off the record.");
      continue;
    }
    if (there.sizeBytes !== BigInt(size)) {
      findings.add("image-changed", path, `${there.sizeBytes} bytes, added were ${size}`, ADD_HINT);
      continue;
    }
    if (!contents) continue;
    try {
      const found = await sumOf(data.read(path, job.signal), size, job, (bytes) => step?.advance(bytes));
      if (found !== sha256) findings.add("image-changed", path, `SHA-256 ${found}, added was ${sha256}`, ADD_HINT);
    } catch (error) {
      if (!(error instanceof HiperisoError)) throw error;
      findings.add("image-unreadable", path, error.message, ADD_HINT);
    }
  }
  step?.end();
  await verifyConfig(data, findings);
  if ((await tree.stat(at(STICK_DATA.unfinished)))?.kind !== "directory") return;
  let unfinished = 0;
  for await (const { kind } of tree.list(at(STICK_DATA.unfinished))) if (kind === "file") unfinished += 1;
  if (unfinished > 0)
    findings.notes.push(
      `${unfinished === 1 ? "a copy was cut off" : `${unfinished} copies were cut off`}: the same \`stick add\` takes it up again`,
    );
}

const ADD_HINT = "`stick add --force` writes it again.";

async function verifyConfig(data: StickData, findings: Findings): Promise<void> {
  const shown = data.tree.shown(data.at(STICK_DATA.config));
  try {
    const bytes = await readDataFile(data, STICK_DATA.config, CONFIG_FILE_BYTES_MAX);
    if (bytes === undefined) return;
    for (const { line, column, path, message, severity } of decodeConfig(bytes, shown).findings) {
      const text = `line ${line}, column ${column}: ${path === "" ? "" : `${path}: `}${message}`;
      if (severity === "error")
        findings.add("config", STICK_DATA.config, text, "It is left out at a boot; mend it and put it on with `stick config`.");
      else findings.notes.push(`${STICK_DATA.config}: ${text}`);
    }
  } catch (error) {
    if (!(error instanceof HiperisoError)) throw error;
    findings.add("config", STICK_DATA.config, error.message, "Mend it, and put it on with `stick config`.");
  }
}
