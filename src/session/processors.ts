/** What the guest's processors do, as QEMU's monitor prints it (`info registers -a`; QEMU's target/i386/cpu-dump.c). */
import type { QmpClient } from "../host/qmp.ts";

export interface Processor {
  /** Of the next instruction. */
  readonly address: bigint;
  readonly paging: boolean;
  /** It waits for an interrupt. */
  readonly halted: boolean;
}

/** Empty where the text holds none. */
export function decodeProcessors(text: string): readonly Processor[] {
  return text.split(/^CPU#\d+/m).flatMap((part) => {
    const address = /\b[ER]IP=([0-9a-f]{8,16})\b/.exec(part)?.[1];
    const control = /\bCR0=([0-9a-f]{8,16})\b/.exec(part)?.[1];
    if (address === undefined || control === undefined) return [];
    return [{ address: BigInt(`0x${address}`), paging: (BigInt(`0x${control}`) & 0x8000_0000n) !== 0n, halted: /\bHLT=1\b/.test(part) }];
  });
}

/** Above it the PC has its devices, however much memory it has; the firmware's own stands above those. */
const MEMORY_BELOW = 0xc000_0000n;
const FIRMWARE_FROM = 0xfec0_0000n;

/**
 * A processor that runs where a PC has no memory, with paging off: it was sent to a routine that is not there, and reads nothing but zeros,
 * which are instructions too. Nothing will bring it back.
 */
export function strayProcessor(processors: readonly Processor[], memoryMb: number): Processor | undefined {
  const memory = BigInt(memoryMb) << 20n;
  const end = memory < MEMORY_BELOW ? memory : MEMORY_BELOW;
  return processors.find(({ address, paging, halted }) => !paging && !halted && address >= end && address < FIRMWARE_FROM);
}

/** Empty where QEMU does not tell. */
export async function readProcessors(qmp: QmpClient): Promise<readonly Processor[]> {
  const answer = await qmp.execute("human-monitor-command", { "command-line": "info registers -a" }).catch(() => "");
  return typeof answer === "string" ? decodeProcessors(answer) : [];
}
