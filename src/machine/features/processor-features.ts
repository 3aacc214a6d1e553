/** Processor features that are asked for by name, checked against what QEMU knows and what the accelerator can give. Pure. */
import { HiperisoError } from "../../contract/error.ts";
import { printable } from "../../formats/escape-terminal.ts";

export interface ProcessorFeature {
  /** As QEMU names it. */
  readonly name: string;
  readonly on: boolean;
}

/** What QEMU says of processors. */
export interface ProcessorOffer {
  /** Names that it takes. */
  readonly known: ReadonlySet<string>;
  /** Of these, what its best processor has, by accelerator; undefined where nobody asked or no answer came. */
  readonly given: { readonly tcg: ReadonlySet<string> | undefined; readonly kvm: ReadonlySet<string> | undefined };
}

/**
 * `vmx,-svm`: a comma between, `+` or nothing to add, `-` to take away. Names as QEMU writes them or as /proc/cpuinfo does (`sse4_2`); the
 * last word on a name counts. Throws a usage error on a name that QEMU has not.
 */
export function parseProcessorFeatures(text: string, { known }: ProcessorOffer): readonly ProcessorFeature[] {
  const features = new Map<string, ProcessorFeature>();
  for (const word of text.split(",").map((part) => part.trim())) {
    const [, sign, written = ""] = /^([+-]?)(.*)$/s.exec(word) ?? [];
    const name = spellings(written).find((spelling) => known.has(spelling));
    if (name === undefined) throw unknown(word, written, known);
    features.delete(name);
    features.set(name, { name, on: sign !== "-" });
  }
  return [...features.values()];
}

/** QEMU parts words by `-` or `.`, Linux by `_`. */
const spellings = (name: string): readonly string[] => [
  ...new Set([name, name.toLowerCase(), name.toLowerCase().replaceAll("_", "-"), name.toLowerCase().replaceAll("_", ".")]),
];

function unknown(word: string, written: string, known: ReadonlySet<string>): HiperisoError {
  const alike = [...known].filter((name) => written.length >= 3 && name.startsWith(written.toLowerCase().slice(0, 3))).sort();
  return new HiperisoError({
    what: "add processor features",
    where: "--cpu-features",
    expected: "names that this QEMU knows, with commas between, as in vmx,-svm",
    found: `"${printable(word)}"`,
    hint:
      alike.length > 0 && alike.length <= 20
        ? `It knows: ${alike.join(", ")}.`
        : '`qemu-system-x86_64 -cpu help` lists them under "Recognized CPUID flags".',
    kind: "usage",
  });
}

/** The words behind the model in QEMU's `-cpu`. */
export const processorWords = (features: readonly ProcessorFeature[]): string =>
  features.map(({ name, on }) => `,${name}=${on ? "on" : "off"}`).join("");

/** Features that QEMU knows and this accelerator has not: the guest will not see them. */
export function missingFeatures(features: readonly ProcessorFeature[], given: ReadonlySet<string> | undefined): readonly string[] {
  if (given === undefined) return [];
  return features.filter(({ name, on }) => on && !given.has(name)).map(({ name }) => name);
}
