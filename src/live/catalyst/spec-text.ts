/** A graph made of catalyst's specs as the text of a spec of ours, with comments: what each stage is, and what was not carried over. */
import { Document, type Node, Scalar, visit } from "yaml";
import { printable } from "../../formats/escape-terminal.ts";
import type { BesideFile, MediaGraph } from "./media-graph.ts";
import type { NotCarried } from "./specs.ts";

export interface SpecTextHead {
  /** Of the specs, as they were given. */
  readonly from: readonly string[];
}

/** YAML. Text of the specs is escaped in comments, which end at a line's end. */
export function mediaSpecText({ spec, about, beside, notCarried }: MediaGraph, { from }: SpecTextHead): string {
  const document = new Document(spec);
  const head = [
    `Made from ${from.join(", ")} by \`hiperiso live catalyst\`.`,
    ...(notCarried.length === 0 ? [] : ["", "Not carried over:", ...notCarried.map((row) => `  ${notCarriedText(row)}`)]),
    ...(beside.length === 0 ? [] : ["", "Beside this file:", ...beside.map((file) => `  ${besideText(file)}`)]),
  ];
  document.commentBefore = head.map((line) => (line === "" ? "" : ` ${printable(line)}`)).join("\n");
  for (const [name, text] of Object.entries(about)) {
    const stages = document.get("stages", true) as unknown as { readonly items: readonly { readonly key: Scalar }[] };
    const pair = stages.items.find(({ key }) => key.value === name);
    if (pair !== undefined) {
      pair.key.commentBefore = ` ${printable(text)}`;
      pair.key.spaceBefore = pair !== stages.items[0];
    }
  }
  visit(document, {
    Scalar: (_, node) => {
      // Scripts are read by people.
      if (typeof node.value === "string" && node.value.includes("\n")) node.type = Scalar.BLOCK_LITERAL;
    },
    Seq: (_, node) => {
      node.flow = isShort(node.items as readonly Node[]);
    },
    Map: (key, node) => {
      node.flow = key !== null && typeof key === "number" ? false : isShortMap(node.items);
    },
  });
  return document.toString({ lineWidth: 120, flowCollectionPadding: true });
}

const isShort = (items: readonly unknown[]): boolean =>
  items.every((item) => item instanceof Scalar && !String(item.value).includes("\n")) &&
  items.map((item) => String((item as Scalar).value)).join(", ").length < 80;

const isShortMap = (items: readonly { readonly key: unknown; readonly value: unknown }[]): boolean =>
  items.length <= 3 && items.every(({ value }) => value instanceof Scalar) && isShort(items.map(({ value }) => value));

export const notCarriedText = ({ path, line, key, because }: NotCarried): string => `${path}:${line}: ${key}: ${because}`;

export function besideText(file: BesideFile): string {
  return file.kind === "text" ? file.to : `${file.to}${file.kind === "folder" ? "/" : ""}, from ${file.from}`;
}
