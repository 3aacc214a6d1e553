/**
 * A disk as a person asks for it: `8G`, `old.qcow2`, `8G,file=/vm/new.qcow2,bus=nvme`, `system.img,keep`. Values with which a boot can be
 * asked for again, here or elsewhere.
 */
import { HiperisoError } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";
import { QCOW2_BYTES_MAX } from "../formats/qcow2.ts";
import { DISK_FORMATS, type DiskFormat } from "../image/disk-format.ts";
import { BUSES, type Bus } from "./drives.ts";

export interface DiskWish {
  /** A new, empty disk of this many bytes; undefined: the file is there. */
  readonly sizeBytes: bigint | undefined;
  /** As written. Undefined only for a new disk, which is then made in the session. */
  readonly path: string | undefined;
  readonly bus: Bus;
  /** What the guest writes stays in the file; else a throw-away overlay takes it. Always true of a new disk. */
  readonly keep: boolean;
  /** Undefined: what the file's first bytes say; qcow2 for a new one. */
  readonly format: DiskFormat | undefined;
}

/** The bus that every system knows. */
export const STANDARD_BUS: Bus = "sata";

const UNITS = { K: 10n, M: 20n, G: 30n, T: 40n, P: 50n } as const;
const SIZE = /^(\d{1,9})([KMGTP])(?:i?B)?$/i;

/** Throws (kind `usage`) on what is no such text. A comma in a name is written twice, as QEMU has it. */
export function parseDiskWish(text: string): DiskWish {
  const [first = "", ...rest] = splitAtCommas(text);
  const size = SIZE.exec(first);
  const sizeBytes = size === null ? undefined : BigInt(size[1] ?? 0) << UNITS[(size[2] ?? "K").toUpperCase() as keyof typeof UNITS];
  if (first === "") throw badWish(text, "a size such as 8G, or a file", "neither");
  if (sizeBytes !== undefined && (sizeBytes === 0n || sizeBytes > QCOW2_BYTES_MAX)) {
    throw badWish(text, `a size above 0 and at most ${QCOW2_BYTES_MAX >> 50n}P`, first);
  }
  const said = new Map<string, string | true>();
  for (const option of rest) {
    const equals = option.indexOf("=");
    const [name, value] = equals < 0 ? [option, true as const] : [option.slice(0, equals), option.slice(equals + 1)];
    if (said.has(name)) throw badWish(text, `${printable(name)} once`, "twice");
    said.set(name, value);
  }
  const take = (name: string) => {
    const value = said.get(name);
    said.delete(name);
    return value;
  };
  const [bus, keep, format, file] = [take("bus"), take("keep"), take("format"), take("file")];
  const [unknown] = said.keys();
  const options = sizeBytes === undefined ? "bus=, format=, keep" : "bus=, format=, file=";
  if (unknown !== undefined) throw badWish(text, `the options ${options}`, `"${printable(unknown)}"`);
  if (keep !== undefined && keep !== true) throw badWish(text, "keep without a value", `keep=${printable(keep)}`);
  if (sizeBytes !== undefined && keep !== undefined) throw badWish(text, "a new disk, which is always kept", "keep");
  if (sizeBytes === undefined && file !== undefined) throw badWish(text, "a size before file=", printable(first));
  if (file === true || file === "") throw badWish(text, "file= with a name", "none");
  const chosen = oneOf(text, "format", format, sizeBytes === undefined ? DISK_FORMATS : NEW_FORMATS);
  return {
    sizeBytes,
    path: sizeBytes === undefined ? first : file,
    bus:
      oneOf(
        text,
        "bus",
        bus,
        BUSES.filter((name) => name !== "ide"),
      ) ?? STANDARD_BUS,
    keep: sizeBytes !== undefined || keep === true,
    format: chosen,
  };
}

const NEW_FORMATS = ["qcow2", "raw"] as const;

function oneOf<Word extends string>(
  text: string,
  name: string,
  value: string | true | undefined,
  words: readonly Word[],
): Word | undefined {
  if (value === undefined) return undefined;
  const word = words.find((one) => one === value);
  if (word !== undefined) return word;
  throw badWish(text, `${name}= with one of ${words.join(", ")}`, value === true ? "no value" : `"${printable(value)}"`);
}

/** At each comma that does not stand twice. No word of a command line holds a NUL. */
const splitAtCommas = (text: string): string[] =>
  text
    .replaceAll(",,", "\0")
    .split(",")
    .map((part) => part.replaceAll("\0", ","));

/** The text that `parseDiskWish` reads as this wish. */
export function diskWishText({ sizeBytes, path, bus, keep, format }: DiskWish): string {
  const name = (text: string) => text.replaceAll(",", ",,");
  return [
    sizeBytes === undefined ? name(path ?? "") : sizeText(sizeBytes),
    ...(sizeBytes !== undefined && path !== undefined ? [`file=${name(path)}`] : []),
    ...(bus === STANDARD_BUS ? [] : [`bus=${bus}`]),
    ...(format === undefined ? [] : [`format=${format}`]),
    ...(keep && sizeBytes === undefined ? ["keep"] : []),
  ].join(",");
}

/** In the largest unit that divides it: sizes come from such a text, and so are whole KiB. */
function sizeText(sizeBytes: bigint): string {
  const units = Object.entries(UNITS).reverse();
  const [unit, bits] = units.find(([, shift]) => sizeBytes % (1n << shift) === 0n) ?? (["K", UNITS.K] as const);
  return `${sizeBytes >> bits}${unit}`;
}

const badWish = (text: string, expected: string, found: string): HiperisoError =>
  new HiperisoError({
    what: "understand the disk",
    where: `--disk ${printable(text)}`,
    expected,
    found,
    hint: "--disk 8G makes one; --disk FILE takes one, --disk FILE,keep lets the guest write to it.",
    kind: "usage",
  });
