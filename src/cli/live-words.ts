/** What a build comes to, in words for a terminal. All text from specs and tools is harmless here. */
import { duration } from "../analysis/quantities.ts";
import { printable } from "../formats/escape-terminal.ts";
import type { Built } from "../live/runner.ts";
import type { StageDifference } from "../live/twice.ts";
import { byteSize } from "./terminal.ts";

export interface ImageFacts {
  readonly image: string;
  /** None of a folder. */
  readonly sizeBytes?: number;
  readonly sha256?: string;
  /** What was written beside the copy: manifest and sum. */
  readonly beside?: readonly string[];
}

/** A line for each stage. `ran`: the word for those that are not kept. */
export function explanation({ stages }: Pick<Built, "stages">, ran: string): string {
  const width = Math.max(0, ...stages.map(({ name }) => name.length));
  const word = Math.max(ran.length, "kept".length);
  return stages
    .map(({ name, reused, because, hash, elapsedMs }) => {
      const took = elapsedMs > 0 ? `  ${duration(elapsedMs)}` : "";
      return `${name.padEnd(width)}  ${(reused ? "kept" : ran).padEnd(word)}  ${hash.slice(0, 12)}  ${printable(because)}${took}`;
    })
    .join("\n");
}

/** What was built and what was kept, the image, and how its boots went. */
export function summary({ plan, stages, tests }: Built, { sizeBytes, sha256, beside = [] }: ImageFacts): string {
  const built = stages.filter(({ reused }) => !reused);
  const width = Math.max(0, ...built.map(({ name }) => name.length));
  const rows = built.map(
    ({ name, elapsedMs, sizeBytes: size }) => `  ${name.padEnd(width)}  ${duration(elapsedMs).padStart(10)}  ${byteSize(size).padStart(9)}`,
  );
  const image = sizeBytes === undefined ? [] : [`image: ${byteSize(sizeBytes)}${sha256 === undefined ? "" : `, SHA-256 ${sha256}`}`];
  const written = beside.map((path) => `beside it: ${printable(path)}`);
  const verdicts = tests.map(({ stage, passed, says, output }) =>
    passed
      ? `${stage}: passed; ${printable(output)}`
      : `${stage}: not passed; ${printable(output)}\n${indented(printable(says, { keepNewlines: true }))}`,
  );
  const kept = stages.length - built.length;
  return [
    `${plan}: ${count(stages.length, "stage")}, ${kept} kept, ${built.length} built`,
    ...rows,
    ...image,
    ...written,
    ...verdicts,
  ].join("\n");
}

export function differencesText({ plan, stages }: Built, differences: readonly StageDifference[]): string {
  if (differences.length === 0) return `${plan}: two builds gave the same bytes in all of ${count(stages.length, "stage")}`;
  const blocks = differences.map(({ stage, inputs, files }) => {
    const head =
      inputs.length === 0
        ? `${stage}: differs, and all that it was made from is the same`
        : `${stage}: differs, as does its input ${inputs.join(", ")}`;
    return [
      head,
      ...files.flatMap(({ path, says, inside }) => [
        `  ${printable(path)}: ${printable(says)}`,
        ...inside.map((line) => `    ${printable(line)}`),
      ]),
    ].join("\n");
  });
  return [`${plan}: two builds differ in ${differences.length} of ${count(stages.length, "stage")}`, ...blocks].join("\n");
}

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? "" : "s"}`;
const indented = (text: string): string => text.replace(/^/gm, "  ");
