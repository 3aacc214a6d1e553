/** A guest that says what its machine has, and a disk that starts it: by a chain of signatures from shim to the kernel, or by none. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createConnection, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { quietJob } from "../../src/contract/job.ts";
import { makeFat } from "../../src/disk/fat/make.ts";
import { openFat } from "../../src/disk/fat/volume.ts";
import { encodeCpio } from "../../src/formats/cpio.ts";
import { defaultStore } from "../../src/live/demo.ts";
import { buildPlan } from "../../src/live/runner.ts";
import { readSourceTree } from "../../src/live/source-files.ts";
import { unpackPackages } from "../../src/live/stages/unpack.ts";
import { Store } from "../../src/live/store.ts";
import { makeDisk, putFile, TYPES } from "./disk-guest.ts";

const build = (plan: string) =>
  buildPlan(
    fileURLToPath(new URL(`plans/${plan}.yaml`, import.meta.url)),
    { store: defaultStore(process.env), env: process.env, set: {} },
    quietJob,
  );

export interface FeaturesGuest {
  readonly kernel: string;
  readonly initrd: string;
}

/** Paths in the store of built stages. */
export async function featuresGuest(): Promise<FeaturesGuest> {
  const { output, stages } = await build("features-guest");
  const kernel = stages.find(({ name }) => name === "kernel")!.hash;
  return { kernel: join((await Store.open(defaultStore(process.env), process.env)).pathOf(kernel), "vmlinuz"), initrd: output };
}

export interface Chain {
  /** What the firmware starts: EFI/BOOT/BOOTX64.EFI. */
  readonly loader: Uint8Array;
  /** What that starts, beside it. */
  readonly grub?: Uint8Array;
  readonly kernel: Uint8Array;
}

/** Shim, GRUB and a kernel, each signed by whom the one before trusts. */
export async function signedChain({ kernel }: FeaturesGuest): Promise<Required<Chain>> {
  const [shim, grub] = await Promise.all([build("signed-shim"), build("signed-grub")]);
  return { loader: await readFile(shim.output), grub: await readFile(grub.output), kernel: await readFile(kernel) };
}

/** Writes a disk that starts the guest. `asked`: what it is to look at. `initrds`: beside its own. */
export async function guestDisk(
  path: string,
  chain: Chain,
  guest: FeaturesGuest,
  asked: string,
  initrds: readonly Uint8Array[] = [],
): Promise<string> {
  await using disk = await makeDisk(path, [{ name: "ESP", typeGuid: TYPES.efiSystem, megabytes: 128 }]);
  await makeFat(disk.partition(1), { serial: 1, label: "ESP", bits: 32, clusterBytes: 512 }, quietJob);
  await using esp = await openFat(disk.partition(1), {}, quietJob);
  for (const folder of ["/EFI", "/EFI/BOOT", "/EFI/debian"]) await esp.makeDirectory(folder, 0);
  await putFile(esp, "/EFI/BOOT/BOOTX64.EFI", chain.loader);
  if (chain.grub !== undefined) await putFile(esp, "/EFI/BOOT/grubx64.efi", chain.grub);
  await putFile(esp, "/vmlinuz", chain.kernel);
  const all = [await readFile(guest.initrd), ...initrds];
  for (const [index, initrd] of all.entries()) await putFile(esp, `/initrd${index}`, initrd);
  await putFile(esp, "/EFI/debian/grub.cfg", Buffer.from(grubConfig(asked, all.length)));
  return path;
}

const grubConfig = (asked: string, initrds: number): string => `serial --unit=0 --speed=115200
terminal_output serial
terminal_input serial
search --no-floppy --file --set=root /vmlinuz
linux /vmlinuz console=ttyS0 panic=-1 guest.do=${asked}
initrd${Array.from({ length: initrds }, (_, index) => ` /initrd${index}`).join("")}
boot
`;

/** An initrd with the TPM's tools in it, and the libraries that they need. */
export async function tpmTools(): Promise<Uint8Array> {
  const { stages } = await build("tpm2-tools");
  const packages = stages.find(({ name }) => name === "packages")!.hash;
  const folder = await mkdtemp(join(tmpdir(), "hiperiso-tools-"));
  try {
    await unpackPackages((await Store.open(defaultStore(process.env), process.env)).pathOf(packages), folder, {
      env: process.env,
      job: quietJob,
    });
    const tree = await readSourceTree(folder);
    const wanted = tree.filter(({ kind, path }) => kind !== "directory" && /^usr\/bin\/tpm2|\.so(?:\.|$)/.test(path));
    return encodeCpio(wanted, { mtimeS: 0 });
  } finally {
    await rm(folder, { recursive: true });
  }
}

const codeOf = (...lines: readonly string[]): Buffer =>
  Buffer.from(lines.map((line) => line.split(";", 1)[0]!.replaceAll(" ", "")).join(""), "hex");

/** Real-mode boot sectors: one prints whether the processor has AMD's virtualisation (CPUID 80000001h, ECX bit 2), the other only sleeps. */
const SECTORS = {
  svm: codeOf(
    "66b801000080 0fa2; cpuid 80000001h",
    "660fbae102 0f92c0 0430 88c3; bl = '0' or '1'",
    "baf803 b073ee b076ee b06dee b03dee 88d8ee b00aee; svm=. to the UART",
    "f4 ebfd; sleep",
  ),
  still: codeOf("f4 ebfd"),
} as const;

/** A disk whose first sector is code. */
export async function codeDisk(path: string, sector: keyof typeof SECTORS): Promise<string> {
  const disk = new Uint8Array(1024 * 1024);
  disk.set(SECTORS[sector]);
  disk.set([0x55, 0xaa], 510);
  await writeFile(path, disk);
  return path;
}

/** A TCP port of the loop-back that is taken until it is given back. */
export async function takenPort(): Promise<AsyncDisposable & { readonly number: number }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { number: port, [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())) };
}

/** One that was free a moment ago. */
export async function freePort(): Promise<number> {
  await using port = await takenPort();
  return port.number;
}

/** All that the guest behind a forwarded port says. QEMU takes the call before the guest does: one that is dropped is made again. */
export async function callGuest(port: number): Promise<string> {
  for (;;) {
    const said = await heard(createConnection(port, "127.0.0.1"));
    if (said !== "") return said;
  }
}

/** A desktop without a screen. Ready when it says where it listens: its socket is in no folder. */
export async function startBroadway(program: string, folder: string): Promise<AsyncDisposable & { readonly env: NodeJS.ProcessEnv }> {
  const env = { XDG_RUNTIME_DIR: folder, GDK_BACKEND: "broadway", BROADWAY_DISPLAY: ":7", DISPLAY: ":7" };
  const words = ["--address", "127.0.0.1", "--port", String(await freePort()), ":7"];
  const child = spawn(program, words, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  await Promise.race([once(child.stdout, "data"), ended]);
  return {
    env,
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await ended;
    },
  };
}

/** What a VNC server says first. */
export function readBanner(address: string): Promise<string> {
  const [host = "", port = ""] = address.split(":");
  const socket = host === "unix" ? createConnection(port) : createConnection(Number(port), host);
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("data", (bytes) => {
      socket.destroy();
      resolve(bytes.toString("latin1"));
    });
  });
}

async function heard(socket: Socket): Promise<string> {
  let said = "";
  socket.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  await new Promise<void>((resolve) => socket.once("close", () => resolve()).once("error", () => resolve()));
  return said;
}

export interface Packet {
  readonly protocol: "icmp" | "tcp" | "udp" | "other";
  readonly destinationPort: number;
}

/** IPv4 packets of a pcap file: magic a1b2c3d4 in little-endian order, 24 bytes of header, 16 bytes before each Ethernet frame. Throws on half a packet. */
export function packetsOf(capture: Buffer): readonly Packet[] {
  if (capture.readUInt32LE(0) !== 0xa1b2c3d4 || capture.readUInt32LE(20) !== 1) throw new Error("this is no capture of Ethernet");
  const packets: Packet[] = [];
  for (let at = 24; at < capture.length; ) {
    const length = capture.readUInt32LE(at + 8);
    const frame = capture.subarray(at + 16, at + 16 + length);
    if (frame.length < length) throw new Error(`half a packet at ${at}`);
    if (frame.readUInt16BE(12) === 0x0800) packets.push(ipPacket(frame.subarray(14)));
    at += 16 + length;
  }
  return packets;
}

const PROTOCOLS: Readonly<Record<number, Packet["protocol"]>> = { 1: "icmp", 6: "tcp", 17: "udp" };

function ipPacket(packet: Buffer): Packet {
  const protocol = PROTOCOLS[packet[9]!] ?? "other";
  const payload = packet.subarray((packet[0]! & 15) * 4);
  return { protocol, destinationPort: protocol === "tcp" || protocol === "udp" ? payload.readUInt16BE(2) : 0 };
}
