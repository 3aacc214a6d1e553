import { expect, test } from "vitest";
import { decodeProcessors, strayProcessor } from "../../src/session/processors.ts";

/** Two processors in the form of QEMU 7.2's monitor. */
const page = (ip: string, cr0: string, hlt: number) =>
  [
    "CPU#0",
    "EAX=00000000 EBX=00000000 ECX=00000000 EDX=00000663",
    `${ip.length > 8 ? "R" : "E"}IP=${ip} EFL=00000006 [-----P-] CPL=0 II=0 A20=1 SMM=0 HLT=${hlt}`,
    `CR0=${cr0} CR2=00000000 CR3=00000000 CR4=00000000`,
    "XMM00=0000000000000000 0000000000000000",
    "CPU#1",
    "EIP=000fd09a EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=1",
    "CR0=60000010 CR2=00000000 CR3=00000000 CR4=00000000",
    "",
  ].join("\r\n");

test("each processor: where it is, whether it pages, whether it sleeps", () => {
  expect(decodeProcessors(page("f08f595b", "00000011", 0))).toEqual([
    { address: 0xf08f595bn, paging: false, halted: false },
    { address: 0xfd09an, paging: false, halted: true },
  ]);
  expect(decodeProcessors(page("ffffffff81a0b0c0", "80050033", 1))[0]).toEqual({
    address: 0xffffffff81a0b0c0n,
    paging: true,
    halted: true,
  });
});

test.each(["", "no registers", "CPU#0\nEIP=zz CR0=11", "CPU#0\nEIP=00001000"])("of %j nothing is told", (text) => {
  expect(decodeProcessors(text)).toEqual([]);
});

test.each([
  ["a device's place, as a call of a routine that is not there ends", "f08f595b", "00000011", 0, 4096, true],
  ["behind a small memory", "20000000", "00000011", 0, 256, true],
  ["memory", "08048100", "00000011", 0, 4096, false],
  ["the last of the memory below the devices", "bffffffc", "00000011", 0, 4096, false],
  ["the firmware", "fffffff0", "00000011", 0, 4096, false],
  ["with paging the address says nothing", "c0103000", "80000011", 0, 256, false],
  ["who sleeps strays nowhere", "f08f595b", "00000011", 1, 4096, false],
] as const)("%s: %s", (_, ip, cr0, halted, memoryMb, stray) => {
  expect(strayProcessor(decodeProcessors(page(ip, cr0, halted)), memoryMb) !== undefined).toBe(stray);
});
