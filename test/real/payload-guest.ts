/** A guest whose first process runs the importer on its disks: a kernel and busybox of this distribution, and the importer as it was just built. */
import { createHash } from "node:crypto";
import { open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { quietJob } from "../../src/contract/job.ts";
import { encodeCpio } from "../../src/formats/cpio.ts";
import { systemClock } from "../../src/host/clock.ts";
import { defaultStore } from "../../src/live/demo.ts";
import { buildPlan } from "../../src/live/runner.ts";
import { Store } from "../../src/live/store.ts";
import type { Bus } from "../../src/machine/drives.ts";
import { standardParts } from "../../src/machine/plan-parts.ts";
import { recordMachine } from "../../src/session/new-recording.ts";
import type { Entry } from "../guest/payload-writer.ts";
import { onlySession, type RecordedSession } from "./harness.ts";

const PLAN = fileURLToPath(new URL("plans/payload-guest.yaml", import.meta.url));

export interface PayloadGuest {
  readonly kernel: string;
  readonly initrd: string;
}

/** Builds it, or takes what is kept of it. `importer`: a program without shared libraries. */
export async function payloadGuest(folder: string, importer: string): Promise<PayloadGuest> {
  const store = defaultStore(process.env);
  const { output, stages } = await buildPlan(PLAN, { store, env: process.env, set: {} }, quietJob);
  const kernel = stages.find(({ name }) => name === "kernel")!.hash;
  const archive = encodeCpio([{ kind: "file", path: "bin/payload-import", mode: 0o755, content: await readFile(importer) }], { mtimeS: 0 });
  const initrd = join(folder, "initrd");
  // A packed archive, NULs to a multiple of 4, and a plain one: the kernel unpacks both (Documentation/driver-api/early-userspace/buffer-format.rst).
  const packed = await readFile(output);
  await writeFile(initrd, Buffer.concat([packed, Buffer.alloc(-packed.length & 3), archive]));
  return { kernel: join((await Store.open(store, process.env)).pathOf(kernel), "vmlinuz"), initrd };
}

/** A disk of at least `bytes` and a whole MiB, and its path. */
export async function diskWith(path: string, bytes: Uint8Array): Promise<string> {
  await using file = await open(path, "w");
  await file.write(bytes);
  await file.truncate(Math.ceil(bytes.length / 2 ** 20) * 2 ** 20);
  return path;
}

/** What the guest's first process says of a whole payload: `lines` of its console. */
export const sumsOf = (entries: readonly Entry[]): readonly string[] =>
  entries.map(({ name, bytes }) => `${createHash("sha256").update(bytes).digest("hex")}  ${name.toString()}`);

export const linesOf = (serial: string): readonly string[] => serial.split(/\r?\n/);

export interface GuestBoot {
  readonly bus: Bus;
  readonly disks: readonly string[];
  readonly logs: string;
  readonly append?: string;
}

/** Boots it until it says that the payload is there, or powers off, and reads the session. */
export async function bootPayloadGuest(
  { kernel, initrd }: PayloadGuest,
  { bus, disks, logs, append = "" }: GuestBoot,
): Promise<RecordedSession> {
  await recordMachine(
    {
      parts: {
        ...standardParts,
        memoryMb: 512,
        kernel: { path: kernel, initrds: [initrd], append: `console=ttyS0 panic=-1 guest.disks=${disks.length} ${append}`.trim() },
        disks: disks.map((path) => ({ path, bus, writable: false })),
        stopOnReset: true,
      },
      logDir: logs,
      goal: "text:guest: the payload is there",
    },
    { env: process.env, clock: systemClock, job: quietJob, onEvent: () => {} },
  );
  return onlySession(logs);
}
