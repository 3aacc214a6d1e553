/** How broken firmware descriptors are mended: each gets a pair that exists, in a file of its name in a folder that counts more. Pure but for `writeMending`. */
import { access, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import { writeFileAtomic } from "../../host/atomic-file.ts";
import type { FirmwareEntry } from "../../host/firmware.ts";
import { makeFolders } from "../../host/make-folders.ts";
import { checkDescriptor, type FirmwareProblem } from "./check.ts";
import { type FirmwarePair, firmwarePairs } from "./pairs.ts";
import type { FirmwareStock, PresentFirmware } from "./stock.ts";

export interface Mending {
  readonly writes: readonly MendingWrite[];
  readonly unmended: readonly { readonly descriptor: string; readonly because: string }[];
}

export interface MendingWrite {
  /** Where it is written. */
  readonly path: string;
  /** The whole file. Empty: it masks the descriptors of its name. */
  readonly content: string;
  /** The descriptor that it takes the place of; undefined for one that is new. */
  readonly mends: string | undefined;
  readonly pair: FirmwarePair | undefined;
  /** For a person, without a full stop. */
  readonly because: string;
  /** Where what stands at `path` now is kept; undefined where nothing does. */
  readonly keptAs: string | undefined;
}

export interface MendingWish {
  /** In rising precedence, as they were read. */
  readonly folders: readonly string[];
  /** One of `folders`: where files are written. */
  readonly into: string;
  /** Descriptors that cannot be mended are masked, so that nobody takes them. */
  readonly mask: boolean;
}

type Facts = Extract<FirmwareEntry["content"], { readonly facts: unknown }>["facts"];

/** `entries`: all of `folders`. `stock`: what they name, and what else lies on the computer. */
export function planMending(entries: readonly FirmwareEntry[], stock: FirmwareStock, wish: MendingWish): Mending {
  const pairs = firmwarePairs(stock);
  const active = entries.filter(({ state }) => state === "active");
  const writes: MendingWrite[] = [];
  const unmended: { descriptor: string; because: string }[] = [];
  for (const entry of active) {
    const errors = checkDescriptor(entry, stock).filter(({ severity }) => severity === "error");
    if (errors.length === 0) continue;
    const outcome = mendOne(entry, errors, pairs, entries, wish);
    if (typeof outcome !== "string") writes.push(outcome);
    else if (wish.mask && reachable(entry, wish)) writes.push(masked(entry, outcome, entries, wish));
    else unmended.push({ descriptor: entry.path, because: outcome });
  }
  const sound = active.filter((entry) => checkDescriptor(entry, stock).every(({ severity }) => severity !== "error"));
  writes.push(...newDescriptors([...sound.map(factsOf), ...writes.map(({ content }) => parsed(content))], pairs, entries, wish));
  return { writes, unmended };
}

const factsOf = ({ content }: FirmwareEntry): Facts | undefined => ("facts" in content ? content.facts : undefined);

/** Of a file that we wrote ourselves. */
const parsed = (content: string): Facts | undefined => (content === "" ? undefined : (JSON.parse(content) as Facts));

/** Does what is written into `wish.into` count more than this descriptor? */
const reachable = ({ folder }: FirmwareEntry, { folders, into }: MendingWish): boolean => folders.indexOf(into) >= folders.indexOf(folder);

function mendOne(
  entry: FirmwareEntry,
  errors: readonly FirmwareProblem[],
  pairs: readonly FirmwarePair[],
  entries: readonly FirmwareEntry[],
  wish: MendingWish,
): MendingWrite | string {
  if (!reachable(entry, wish)) return `it stands in ${entry.folder}, which counts more than ${wish.into}: write into that folder`;
  const { content } = entry;
  if ("broken" in content) return "what it was meant to say cannot be known: mend it by hand, or mask it (--mask)";
  const { facts } = content;
  if (facts.mapping.device !== "flash" || facts.mapping.mode !== "split") {
    return `only descriptors with code and variables in two files are mended (mode split), not ${facts.mapping.device === "flash" ? facts.mapping.mode : facts.mapping.device}`;
  }
  const pair = pairFor(facts, pairs);
  if (pair === undefined) return `no pair on this computer is ${inWords(facts)}`;
  const file = { ...(JSON.parse(entry.text) as Record<string, unknown>) };
  const mapping = file["mapping"] as Record<string, unknown>;
  file["mapping"] = { ...mapping, executable: flashFile(pair.code), "nvram-template": flashFile(pair.variables) };
  return {
    path: join(wish.into, entry.name),
    content: encode(file),
    mends: entry.path,
    pair,
    because: errors.map(({ text }) => text).join("; "),
    keptAs: keptAs(entry.name, entries, wish),
  };
}

const flashFile = ({ path, format }: PresentFirmware) => ({ filename: path, format });
const encode = (value: unknown): string => `${JSON.stringify(value, null, 4)}\n`;

/** The best pair that does what the descriptor promises, with as much of what it names as is sound. */
function pairFor({ features, targets, mapping }: Facts, pairs: readonly FirmwarePair[]): FirmwarePair | undefined {
  if (mapping.device !== "flash") return undefined;
  const fitting = pairs.filter(
    ({ architecture, smm, secureBoot, enrolledKeys }) =>
      targets.some((target) => target.architecture === (architecture ?? "x86_64")) &&
      smm === features.includes("requires-smm") &&
      (secureBoot || !features.includes("secure-boot")) &&
      enrolledKeys === features.includes("enrolled-keys"),
  );
  const named = ({ code, variables }: FirmwarePair): number =>
    (code.path === mapping.executable.filename || code.realPath === mapping.executable.filename ? 1 : 0) +
    (variables.path === mapping["nvram-template"]?.filename ? 1 : 0) +
    (code.format === mapping.executable.format ? 0.5 : 0);
  // Of equals the first: `pairs` is sorted by what is better.
  return fitting.reduce<FirmwarePair | undefined>(
    (best, next) => (best !== undefined && named(best) >= named(next) ? best : next),
    undefined,
  );
}

function inWords({ features, targets }: Facts): string {
  const keys = features.includes("enrolled-keys") ? "keys enrolled" : "no keys enrolled";
  const smm = features.includes("requires-smm") ? "SMM" : "no SMM";
  const secure = features.includes("secure-boot") ? ", Secure Boot" : "";
  return `for ${targets.map(({ architecture }) => architecture).join(", ") || "no architecture"}, with ${smm}${secure}, ${keys}`;
}

function masked(entry: FirmwareEntry, because: string, entries: readonly FirmwareEntry[], wish: MendingWish): MendingWrite {
  const path = join(wish.into, entry.name);
  return { path, content: "", mends: entry.path, pair: undefined, because, keptAs: keptAs(entry.name, entries, wish) };
}

/** Nothing is lost: what stood there is kept under a name that no reader of descriptors takes. */
function keptAs(name: string, entries: readonly FirmwareEntry[], { into }: MendingWish): string | undefined {
  return entries.some((entry) => entry.folder === into && entry.name === name) ? join(into, `${name}.old`) : undefined;
}

/**
 * What a computer should have a descriptor for and has none. Their names come behind those that distributions use (40 to 60), so that whatever is sound today
 * is still chosen first.
 */
const STANDARD = [
  {
    name: "70-hiperiso-edk2-x86_64.json",
    description: "UEFI firmware for x86_64, without Secure Boot, no keys enrolled",
    machines: ["pc-i440fx-*", "pc-q35-*"],
    features: ["acpi-s3"],
  },
  {
    name: "80-hiperiso-edk2-x86_64-secure-enrolled.json",
    description: "UEFI firmware for x86_64, with Secure Boot and SMM, keys enrolled",
    machines: ["pc-q35-*"],
    features: ["acpi-s3", "enrolled-keys", "requires-smm", "secure-boot"],
  },
] as const;

function newDescriptors(
  sound: readonly (Facts | undefined)[],
  pairs: readonly FirmwarePair[],
  entries: readonly FirmwareEntry[],
  wish: MendingWish,
): readonly MendingWrite[] {
  const writes: MendingWrite[] = [];
  for (const { name, description, machines, features } of STANDARD) {
    const keys = features.some((feature) => feature === "enrolled-keys");
    const answers = (facts: Facts | undefined) =>
      facts?.["interface-types"].includes("uefi") === true &&
      facts.mapping.device === "flash" &&
      facts.targets.some(({ architecture }) => architecture === "x86_64") &&
      facts.features.includes("enrolled-keys") === keys;
    // An administrator who masked the name wants none.
    if (sound.some(answers) || entries.some((entry) => entry.name === name)) continue;
    const facts: Facts = {
      description,
      "interface-types": ["uefi"],
      mapping: { device: "flash", mode: "split", executable: { filename: "", format: "raw" } },
      targets: [{ architecture: "x86_64", machines: [...machines] }],
      features: [...features],
    };
    const pair = pairFor(facts, pairs);
    if (pair === undefined) continue;
    const mapping = { device: "flash", executable: flashFile(pair.code), "nvram-template": flashFile(pair.variables) };
    writes.push({
      path: join(wish.into, name),
      content: encode({ ...facts, mapping, tags: [] }),
      mends: undefined,
      pair,
      because: `no descriptor of this computer offers UEFI for x86_64 ${keys ? "with keys enrolled" : "without enrolled keys"}, and its files are there`,
      keptAs: undefined,
    });
  }
  return writes;
}

/** Writes what was planned, each file whole or not at all. Throws with the file that could not be written; those before it are. */
export async function writeMending({ writes }: Mending): Promise<void> {
  for (const { path, content, keptAs } of writes) {
    try {
      await makeFolders(dirname(path));
      if (keptAs !== undefined) await keepOld(path, keptAs);
      await writeFileAtomic(path, content);
    } catch (error) {
      throw new HiperisoError({
        what: "write the firmware descriptor",
        where: path,
        found: error instanceof HiperisoError ? (error.found ?? error.message) : reasonOf(error),
        hint: "Files for the whole system need root; without --system they are written to your own folder.",
        cause: error,
      });
    }
  }
}

async function keepOld(path: string, keptAs: string): Promise<void> {
  // A copy that is there already is the older one, and the one worth keeping.
  const isKept = await access(keptAs).then(
    () => true,
    () => false,
  );
  if (!isKept) await writeFileAtomic(keptAs, await readFile(path));
}
