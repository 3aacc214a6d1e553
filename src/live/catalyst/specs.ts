/** Specs of catalyst for one medium, checked: what each key is, which are missing, and what of them has no counterpart here. Pure. */
import { nearestWord } from "../../config/nearest-word.ts";
import { HiperisoError } from "../../contract/error.ts";
import { printable } from "../../formats/escape-terminal.ts";
import type { CatalystSpec } from "./spec-file.ts";
import { CATALYST_TARGETS, type CatalystTarget, KERNEL_KEYS, SPEC_KEYS, type SpecKey } from "./spec-keys.ts";

/** A key that the graph does not have, or not as it was. */
export interface NotCarried {
  readonly path: string;
  readonly line: number;
  readonly key: string;
  /** For a person, a clause without a full stop. Not escaped. */
  readonly because: string;
}

/** One spec whose target is known. */
export interface TargetSpec {
  readonly path: string;
  readonly target: CatalystTarget;
  /** Words of a key; none where it is not there. */
  words(key: string): readonly string[];
  /** Its only word, or all with blanks between them. */
  text(key: string): string | undefined;
  /** For `notCarried`, where the key is there. */
  lineOf(key: string): number;
}

export interface CatalystMedia {
  /** What is installed. */
  readonly stage1: TargetSpec | undefined;
  /** Kernel, clean-up and the medium. */
  readonly stage2: TargetSpec | undefined;
  readonly notCarried: readonly NotCarried[];
}

/**
 * One or both of livecd-stage1 and livecd-stage2. Throws a usage error with all that is wrong, by line: what catalyst itself would refuse,
 * a target that is none of these, a key without which there is nothing to build.
 */
export function checkSpecs(specs: readonly CatalystSpec[]): CatalystMedia {
  const errors: string[] = [];
  const notCarried: NotCarried[] = [];
  const found: Partial<Record<CatalystTarget, TargetSpec>> = {};
  for (const spec of specs) {
    for (const { line, severity, text } of spec.faults) {
      if (severity === "error") errors.push(`${spec.path}:${line}: ${text}`);
    }
    const target = targetOf(spec, errors);
    if (target === undefined) continue;
    if (found[target] !== undefined) errors.push(`${spec.path}: a second spec for ${target}; the first is ${found[target].path}`);
    found[target] = targetSpec(spec, target);
    checkKeys(spec, target, errors, notCarried);
  }
  if (errors.length > 0) {
    throw new HiperisoError({
      what: "read a catalyst spec",
      where: specs[0]?.path ?? "",
      found: errors.map((text) => printable(text)).join("\n"),
      kind: "usage",
    });
  }
  return { stage1: found["livecd-stage1"], stage2: found["livecd-stage2"], notCarried };
}

function targetOf({ path, keys }: CatalystSpec, errors: string[]): CatalystTarget | undefined {
  const named = keys.get("target");
  const target = CATALYST_TARGETS.find((one) => one === named?.words.join(" "));
  if (target !== undefined) return target;
  const says = named === undefined ? "no target" : `the target ${named.words.join(" ")}`;
  errors.push(`${path}:${named?.line ?? 1}: expected target: ${CATALYST_TARGETS.join(" or ")}, found ${says}`);
  return undefined;
}

const targetSpec = ({ path, keys }: CatalystSpec, target: CatalystTarget): TargetSpec => ({
  path,
  target,
  words: (key) => keys.get(key)?.words ?? [],
  text: (key) => keys.get(key)?.words.join(" "),
  lineOf: (key) => keys.get(key)?.line ?? 1,
});

function checkKeys({ path, keys }: CatalystSpec, target: CatalystTarget, errors: string[], notCarried: NotCarried[]): void {
  const labels = keys.get("boot/kernel")?.words ?? [];
  const known = knownKeys(target, labels);
  for (const [key, { words, line }] of keys) {
    const row = known.get(key);
    if (row === undefined) {
      notCarried.push({ path, line, key, because: unknownKey(key, known) });
      continue;
    }
    if (row.single === true && words.length > 1) errors.push(`${path}:${line}: ${key} takes one value, found ${words.length}`);
    if (row.left !== undefined) notCarried.push({ path, line, key, because: row.left });
  }
  for (const { key, required } of known.values()) {
    // Of what every spec must have, catalyst needs more than we do.
    const needed = key === "source_subpath" || key.includes("/");
    if (required === true && needed && !keys.has(key))
      errors.push(`${path}: the key ${key} is missing, which a spec for ${target} must have`);
  }
}

function knownKeys(target: CatalystTarget, labels: readonly string[]): ReadonlyMap<string, SpecKey> {
  const common = SPEC_KEYS.filter((row) => row.target === undefined || row.target === target);
  const kernels =
    target === "livecd-stage2"
      ? labels.flatMap((label) => KERNEL_KEYS.map((row) => ({ ...row, key: `boot/kernel/${label}/${row.key}` })))
      : [];
  return new Map([...common, ...kernels].map((row) => [row.key, row]));
}

function unknownKey(key: string, known: ReadonlyMap<string, SpecKey>): string {
  const elsewhere = SPEC_KEYS.find((row) => row.key === key)?.target;
  if (elsewhere !== undefined) return `catalyst knows it for ${elsewhere} only`;
  const label = /^boot\/kernel\/([^/]+)\//.exec(key)?.[1];
  if (label !== undefined && ![...known.keys()].some((one) => one.startsWith(`boot/kernel/${label}/`))) {
    return `there is no kernel "${label}" in boot/kernel`;
  }
  const near = nearestWord(key, new Map([...known.keys()].map((one) => [one, one])));
  return `catalyst has no such key${near === undefined ? "" : `; did you mean ${near}?`}`;
}
