/**
 * A disk of this computer, opened so that nobody else can mount or open it, and only when it is still the one that was confirmed. The
 * only way in this program to a device that can be written.
 */
import { type BigIntStats, constants, fdatasync, read, write } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { execa } from "execa";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import { type BlockDevice, type ComputerFacts, deviceNumber, readComputer } from "../../host/block-devices.ts";
import { refusalsOf } from "../../host/device-refusals.ts";
import { findTool } from "../../host/tools.ts";
import type { Environment } from "../../host/xdg.ts";
import type { BlockStore } from "../block-store.ts";

/** What a person confirmed: the disk itself, whatever its name will be in a minute. */
export interface DeviceIdentity {
  readonly path: string;
  readonly number: string;
  readonly sizeBytes: bigint;
  readonly serial: string | null;
  readonly wwn: string | null;
  readonly model: string | null;
}

export const identityOf = ({ path, number, sizeBytes, serial, wwn, model }: BlockDevice): DeviceIdentity => ({
  path,
  number,
  sizeBytes,
  serial,
  wwn,
  model,
});

/** How two identities differ, for a person; undefined where they are one disk. A missing WWN or serial says nothing, another one does. */
export function otherDisk(confirmed: DeviceIdentity, now: DeviceIdentity): string | undefined {
  for (const [word, before, after] of [
    ["device number", confirmed.number, now.number],
    ["size", `${confirmed.sizeBytes}`, `${now.sizeBytes}`],
    ["WWN", confirmed.wwn, now.wwn],
    ["serial number", confirmed.serial, now.serial],
    ["model", confirmed.model, now.model],
  ] as const)
    if (before !== after) return `${word} ${after ?? "none"}, confirmed was ${before ?? "none"}`;
  return undefined;
}

export interface DeviceStore extends BlockStore {
  readonly identity: DeviceIdentity;
  /** Forgets what the computer keeps in memory of the disk, so that the next read comes from the disk. Needs root. */
  forgetCache(): Promise<void>;
}

export interface DeviceAccess {
  readonly env: Environment;
  readonly signal: AbortSignal;
  readonly allowFixed: boolean;
  readonly neededBytes: bigint;
  /** Instead of this computer's: for tests of what changes between the two readings. */
  readonly readFacts?: () => Promise<ComputerFacts>;
}

/**
 * Looks at the disk again, opens it with O_EXCL, and looks a last time: the first byte can only be written to the disk that was confirmed. Throws
 * HiperisoError, kind `usage`, where it may not be written, is used by another, or is another disk by now.
 */
export async function openExclusive(confirmed: DeviceIdentity, access: DeviceAccess): Promise<DeviceStore> {
  const facts = access.readFacts ?? (() => readComputer(access.env, access.signal));
  const refuse = (found: string, hint?: string, cause?: unknown) =>
    new HiperisoError({ what: "open the disk for writing", where: confirmed.path, found, kind: "usage", cause, ...(hint && { hint }) });

  check(await facts(), confirmed, access, refuse);
  let handle: FileHandle;
  try {
    handle = await open(confirmed.path, constants.O_RDWR | constants.O_EXCL);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "EBUSY")
      throw refuse("another program, a mount or a mapping uses it", "Stop what uses it: lsblk and fuser -v name it.", cause);
    if (code === "EACCES" || code === "EPERM") throw refuse("no permission", "Writing to a disk needs root: try again with sudo.", cause);
    if (code === "EROFS") throw refuse("it is write-protected", "Look for a switch on the card or stick.", cause);
    if (code === "ENOENT" || code === "ENXIO" || code === "ENOMEDIUM") throw refuse("it is gone", "Plug it in again.", cause);
    throw refuse(reasonOf(cause), undefined, cause);
  }
  try {
    // From here on nobody can mount it. What is open now has to be what was confirmed.
    const opened = await handle.stat({ bigint: true });
    const number = numberOf(opened);
    if (number !== confirmed.number) throw refuse(`device number ${number ?? "of a file"}, confirmed was ${confirmed.number}`, PLUGGED);
    const device = check(await facts(), confirmed, access, refuse);
    return storeOf(handle, device, access);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

const PLUGGED = "Another disk was plugged in, or this one again: start anew.";

const numberOf = ({ rdev, mode }: BigIntStats): string | undefined => ((mode & 0o170000n) === 0o060000n ? deviceNumber(rdev) : undefined);

type Refuse = (found: string, hint?: string) => HiperisoError;

function check(facts: ComputerFacts, confirmed: DeviceIdentity, { allowFixed, neededBytes }: DeviceAccess, refuse: Refuse): BlockDevice {
  const device = facts.devices.find(({ path }) => path === confirmed.path);
  if (device === undefined) throw refuse("it is gone", "Plug it in again.");
  const other = otherDisk(confirmed, identityOf(device));
  if (other !== undefined) throw refuse(other, PLUGGED);
  const [refusal] = refusalsOf(facts, device, { allowFixed, neededBytes });
  if (refusal !== undefined) throw refuse(refusal.text, refusal.hint);
  return device;
}

function storeOf(handle: FileHandle, device: BlockDevice, { env, signal }: DeviceAccess): DeviceStore {
  const { path, sizeBytes, sectorBytes } = device;
  const fault = (what: string, at: bigint, cause: unknown) =>
    new HiperisoError({ what, where: `${path}@${at}`, found: explained(cause), cause });
  const lengthInside = (offset: bigint, lengthBytes: number): number => {
    if (offset < 0n || offset >= sizeBytes) return 0;
    const left = sizeBytes - offset;
    return left < BigInt(lengthBytes) ? Number(left) : lengthBytes;
  };
  const readInto = async (offset: bigint, into: Uint8Array): Promise<number> => {
    const bytes = into.subarray(0, lengthInside(offset, into.length));
    for (let done = 0; done < bytes.length; ) {
      const at = offset + BigInt(done);
      const count = await readAt(handle.fd, bytes, done, at).catch((cause: unknown) => {
        throw fault("read the disk", at, cause);
      });
      if (count === 0) return done;
      done += count;
    }
    return bytes.length;
  };
  return {
    name: path,
    identity: identityOf(device),
    sizeBytes,
    sectorBytes,
    read: async (offset, lengthBytes) => {
      const bytes = new Uint8Array(lengthInside(offset, lengthBytes));
      return bytes.subarray(0, await readInto(offset, bytes));
    },
    readInto,
    write: async (offset, bytes) => {
      if (offset < 0n || offset + BigInt(bytes.length) > sizeBytes)
        throw fault("write to the disk", offset, new Error(`its end is at byte ${sizeBytes}`));
      for (let done = 0; done < bytes.length; ) {
        const at = offset + BigInt(done);
        done += await writeAt(handle.fd, bytes, done, at).catch((cause: unknown) => {
          throw fault("write to the disk", at, cause);
        });
      }
    },
    flush: () =>
      new Promise((resolve, reject) => {
        fdatasync(handle.fd, (cause) => (cause === null ? resolve() : reject(fault("bring what was written onto the disk", 0n, cause))));
      }),
    forgetCache: async () => {
      const blockdev = await findTool("blockdev", env);
      await execa(blockdev, ["--flushbufs", path], { extendEnv: false, env: { LC_ALL: "C" }, cancelSignal: signal }).catch(
        (cause: unknown) => {
          throw fault("read the disk past the computer's memory", 0n, cause);
        },
      );
    },
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

/** In words, what the kernel says when a stick is pulled or dies. */
function explained(cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === "ENODEV" || code === "ENXIO") return "the disk is gone";
  if (code === "EIO") return "the disk failed, or was pulled (EIO)";
  if (code === "EROFS" || code === "EPERM") return "the disk has become write-protected";
  return reasonOf(cause);
}

const readAt = (fd: number, into: Uint8Array, from: number, position: bigint): Promise<number> =>
  new Promise((resolve, reject) => {
    read(fd, into, from, into.length - from, position, (error, count) => (error === null ? resolve(count) : reject(error)));
  });

const writeAt = (fd: number, bytes: Uint8Array, from: number, position: bigint): Promise<number> =>
  new Promise((resolve, reject) => {
    write(fd, bytes, from, bytes.length - from, Number(position), (error, count) => (error === null ? resolve(count) : reject(error)));
  });
