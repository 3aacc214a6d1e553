/**
 * Partitions as a person writes them: `SIZE:TYPE:NAME[:ATTRIBUTES]`.
 *
 *   64M:esp:EFI                        64 MiB, EFI system partition, named EFI
 *   rest:data:DATA                     all that the others leave
 *   64M:data:VTOYEFI:no-drive-letter   with an attribute; several are joined by +
 *   1G:0FC63DAF-…:root                 a type by its GUID
 */
import { HiperisoError } from "../../contract/error.ts";
import { ESP_GUID, encodeGuid } from "../../formats/gpt.ts";
import { GPT_ATTRIBUTES } from "../disk-table.ts";
import type { PartitionWish } from "./gpt-layout.ts";
import type { PrimaryWish } from "./mbr-layout.ts";

/** Each type by a short word: of a GPT, and the number that an MBR has for it. */
const TYPES: Readonly<Record<string, { readonly guid: string; readonly mbr: number | undefined }>> = {
  data: { guid: "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", mbr: 0x07 },
  esp: { guid: ESP_GUID, mbr: 0xef },
  fat: { guid: "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", mbr: 0x0c },
  linux: { guid: "0FC63DAF-8483-4772-8E79-3D69D8477DE4", mbr: 0x83 },
  swap: { guid: "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F", mbr: 0x82 },
  lvm: { guid: "E6D6D379-F507-44C2-A23C-238F2A3DF928", mbr: 0x8e },
  raid: { guid: "A19D880F-05FC-4D3B-A006-743F0F84911E", mbr: 0xfd },
  bios: { guid: "21686148-6449-6E6F-744E-656564454649", mbr: undefined },
  reserved: { guid: "E3C9E316-0B5C-4DB8-817D-F92DF00215AE", mbr: undefined },
  recovery: { guid: "DE94BBA4-06D1-4D40-A16A-BFD50179D6AC", mbr: 0x27 },
};

export const PARTITION_TYPE_WORDS: readonly string[] = Object.keys(TYPES);

const UNITS: Readonly<Record<string, bigint>> = { "": 1n, K: 1n << 10n, M: 1n << 20n, G: 1n << 30n, T: 1n << 40n };

/** `512`, `64M`, `1.5G`, also `64MiB`: units of 1,024. Throws HiperisoError of kind `usage` for other text, and for parts of a byte. */
export function decodeSize(text: string, where: string): bigint {
  const [, whole = "", fraction = "", unit = ""] = /^(\d{1,15})(?:\.(\d{1,6}))?([KMGT]?)(?:i?B)?$/i.exec(text) ?? [];
  const factor = UNITS[unit.toUpperCase()];
  const scale = 10n ** BigInt(fraction.length);
  const scaled = whole === "" || factor === undefined ? undefined : BigInt(whole + fraction) * factor;
  if (scaled !== undefined && (fraction === "" || unit !== "")) return scaled / scale;
  throw new HiperisoError({
    what: "read a size",
    where,
    expected: "a number of bytes, or one with K, M, G or T",
    found: text,
    kind: "usage",
  });
}

/** `guid` is asked once for each. */
export function decodePartitions(words: readonly string[], guid: () => string): readonly PartitionWish[] {
  return words.map((word) => {
    const { size, type, name, attributes } = fieldsOf(word);
    return { size, typeGuid: guidOf(type, word), guid: guid(), name, attributes: attributesOf(attributes, word) };
  });
}

/** The same for an MBR, whose entries have no names and no attribute but `active`. */
export function decodePrimaries(words: readonly string[]): readonly PrimaryWish[] {
  return words.map((word) => {
    const { size, type, name, attributes } = fieldsOf(word);
    if (name !== "") throw bad(word, "no name: partitions of an MBR have none", name);
    const others = attributes.filter((attribute) => attribute !== "active");
    if (others.length > 0) throw bad(word, "active as the only attribute", others.join("+"));
    return { size, type: numberOf(type, word), active: attributes.includes("active") };
  });
}

const bad = (where: string, expected: string, found: string): HiperisoError =>
  new HiperisoError({ what: "read a partition", where, expected, found, kind: "usage" });

/** A name may hold `:` as `\:`. */
function fieldsOf(word: string) {
  const fields = word.split(/(?<!\\):/);
  const [size = "", type = "", name = "", attributes = ""] = fields;
  if (fields.length < 2 || fields.length > 4) throw bad(word, "SIZE:TYPE[:NAME[:ATTRIBUTES]]", `${fields.length} parts`);
  return {
    size: size === "rest" ? ("rest" as const) : decodeSize(size, word),
    type,
    name: name.replaceAll("\\:", ":"),
    attributes: attributes === "" ? [] : attributes.split("+"),
  };
}

function guidOf(type: string, word: string): string {
  const known = TYPES[type.toLowerCase()];
  if (known !== undefined && Object.hasOwn(TYPES, type.toLowerCase())) return known.guid;
  try {
    encodeGuid(type);
    return type.toUpperCase();
  } catch {
    throw bad(word, `a type: ${PARTITION_TYPE_WORDS.join(", ")}, or a GUID`, type);
  }
}

function numberOf(type: string, word: string): number {
  const known = Object.hasOwn(TYPES, type.toLowerCase()) ? TYPES[type.toLowerCase()]?.mbr : undefined;
  if (known !== undefined) return known;
  if (/^0x[0-9a-f]{1,2}$/i.test(type)) return Number(type);
  const words = PARTITION_TYPE_WORDS.filter((name) => TYPES[name]?.mbr !== undefined);
  throw bad(word, `a type: ${words.join(", ")}, or a number as 0x83`, type);
}

function attributesOf(attributes: readonly string[], word: string): bigint {
  return attributes.reduce((all, attribute) => {
    const bit = GPT_ATTRIBUTES.find(([name]) => name === attribute)?.[1];
    if (bit !== undefined) return all | (1n << bit);
    if (/^0x[0-9a-f]{1,16}$/i.test(attribute)) return all | BigInt(attribute);
    throw bad(word, `an attribute: ${GPT_ATTRIBUTES.map(([name]) => name).join(", ")}, or a number as 0x4`, attribute);
  }, 0n);
}
