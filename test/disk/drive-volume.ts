/** Drives a file system through random operations beside the model, and has the result judged again and again. */
import { inspect } from "node:util";
import { quietJob } from "../../src/contract/job.ts";
import { type FileSystem, sgdiskSaysOf, volumeOnDisk, withFile } from "./file-systems.ts";
import { differences, Model, nextOperation, type Operation, randomOf, step, treeOf, treeOfModel } from "./volume-model.ts";

export interface Drive {
  readonly seed: number;
  readonly operations: number;
  /** After so many operations, and after the last. */
  readonly judgedEvery: number;
}

/** Throws where anything is wrong, with the seed, and the operations since all was well. */
export async function drive(fileSystem: FileSystem, { seed, operations, judgedEvery }: Drive): Promise<void> {
  const random = randomOf(seed);
  const { disk, bytes, store } = await volumeOnDisk(fileSystem);
  const model = new Model();
  const limits = limitsOf(fileSystem);
  let volume = await fileSystem.open(store);
  let recent: Operation[] = [];
  const fail = (cause: unknown, number: number): never => {
    const last = recent.slice(-5).map((operation) => inspect(operation, { breakLength: 160 }));
    throw new Error(
      `${fileSystem.name}, seed ${seed}, operation ${number}: ${cause instanceof Error ? cause.message : cause}\n${last.join("\n")}`,
      { cause },
    );
  };
  for (let number = 1; number <= operations; number += 1) {
    const operation = nextOperation(model, random, limits);
    recent.push(operation);
    try {
      await step(volume, model, random, operation);
      if (number % judgedEvery !== 0 && number !== operations) continue;
      await volume.flush();
      const found = await fileSystem.check(store, quietJob);
      const complaints = [
        ...differences(await treeOf(volume), treeOfModel(model)),
        ...(found.fatal === undefined ? [] : [found.fatal.message]),
        ...found.problems.map(({ id, path, text }) => `our check: ${id} ${path}: ${text}`),
        ...(await withFile(bytes, (image) => fileSystem.judge(image, volume, model))),
        ...(fileSystem.sectorBytes === 512 ? [(await sgdiskSaysOf(disk)) ?? []].flat() : []), // a file has sectors of 512 bytes for sgdisk
      ];
      // What a fresh eye sees, without anything that is kept in memory.
      volume = await fileSystem.open(store);
      complaints.push(...differences(await treeOf(volume), treeOfModel(model)));
      if (volume.label !== model.label) complaints.push(`the label is ${JSON.stringify(volume.label)}, not ${JSON.stringify(model.label)}`);
      if (complaints.length > 0) throw new Error(complaints.slice(0, 20).join("\n"));
      recent = [];
    } catch (error) {
      fail(error, number);
    }
  }
}

function limitsOf({ volumeBytes }: FileSystem) {
  return { fileBytesMax: Math.floor(volumeBytes / 10), dataBytesMax: volumeBytes * 0.5, entriesMax: 250, rootEntriesMax: 40 };
}
