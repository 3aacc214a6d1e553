/**
 * The probe guest as a ROM image: `guest/kvm-probe/probe.asm`, assembled. A test assembles it again where nasm is there
 * and holds the two equal; `nasm -f bin -o probe.bin guest/kvm-probe/probe.asm` and `xxd -p -c 32 probe.bin` make the
 * text below.
 */

/** QEMU takes a firmware of whole 64 KiB units and ends it at 4 GiB. */
const ROM_BYTES = 64 * 1024;
/** The part that is assembled (ROM_TAIL of the source). */
const TAIL_BYTES = 1024;
/** `hlt` fills the rest: whoever runs astray stops. */
const FILLER = 0xf4;
/** Where the processor starts: offset in the ROM of 0xfffffff0. */
const RESET_VECTOR = ROM_BYTES - 16;

const CODE_HEX = `
fab052e6e92e660f011600fe0f20c06625ffffff9f6683c8010f22c066ea24fc
ffff0800b8100000008ed88ec08ed0fc31c0bf00100000b900100000f3ab81ff
005000000f8594000000c7050010000003200000c7050020000003300000c705
1820000003400000c7050030000083000000c705f84f00008300e0ffb050e6e9
0f20e00d200600000f22e0b8001000000f22d8b9800000c00f320d000100000f
300f20c083e0f30d220000800f22c0c705008000000df00d60813d008000000d
f00d607519b9800000c00f32a900040000740bb047e6e9eae7fcffff1800b021
e6e9b001e6f4f448b80100000001000000bbffffffff48f7e34885d20f85d400
000048ffc00f85cb000000b04ce6e9bb008000009bdbe366c7037f03d92bc743
0463010000c7430871000000db4304da7308da4b08d9fadcc8db5b0c9b817b0c
630100000f858c000000b058e6e9b8ffffffff48890348c7c0ffffffff488943
08f30f6f03660f76c9660f73d13f660fd4c1f30f7f0348b80000000001000000
483903755148837b0800754ab82a000000f20f2ad0b806000000f20f2ad8f20f
5ed3f20f2dc283f807752bb053e6e9b98096980031c04801c848ffc975f848bb
406b8988792d00004839d87509b054e6e9b02ae6f4f4b021e6e9b001e6f4f490
0000000000000000ffff0000009bcf00ffff00000093cf00ffff0000009baf00
1f00e0fdffff
`;
/** `jmp start` */
const RESET_VECTOR_HEX = "e90dfc";

/** What each letter says. The guest writes them in this order, each after its stage was passed. */
export const KVM_PROBE_STAGES = [
  { letter: "R", name: "real mode" },
  { letter: "P", name: "protected mode" },
  { letter: "G", name: "paging" },
  { letter: "L", name: "long mode" },
  { letter: "X", name: "x87" },
  { letter: "S", name: "SSE2" },
  { letter: "T", name: "ten million loop turns" },
] as const;

/** Written in place of a letter when a stage computed a wrong result. */
export const KVM_PROBE_WRONG = "!";

/** Exit status of QEMU when all stages passed: (0x2a << 1) | 1. */
export const KVM_PROBE_PASSED_STATUS = 0x55;

/** The whole ROM, for `-bios`. */
export function kvmProbeRom(): Uint8Array {
  const rom = new Uint8Array(ROM_BYTES).fill(FILLER);
  rom.set(Buffer.from(CODE_HEX.replaceAll("\n", ""), "hex"), ROM_BYTES - TAIL_BYTES);
  rom.set(Buffer.from(RESET_VECTOR_HEX, "hex"), RESET_VECTOR);
  return rom;
}
