/**
 * An initramfs that a distribution's own program makes: initramfs-tools with live-boot, or dracut. The program runs in a sandbox of the root file
 * system in which it is installed. What it gives is packed anew, sorted and with one time, so that two runs are the same.
 */
import { createReadStream } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { decodeCpio, encodeCpio } from "../formats/cpio.ts";
import type { TreeEntry } from "../formats/file-tree.ts";
import { openTree, type Tree } from "./sandbox/tree.ts";
import type { StageRun } from "./stage.ts";
import { deviceEntries } from "./tree-parts.ts";

export interface ForeignInitramfs {
  readonly by: "live-boot" | "dracut";
  readonly release: string;
  /** Output of the kernel stage. */
  readonly kernel: string;
  /** Output of the stage whose root file system has the program; undefined: there is none, which is an error. */
  readonly root: string | undefined;
  /** Words for the program, behind ours. */
  readonly arguments: readonly string[];
}

interface Maker {
  /** Without these nothing that finds a medium would be made. */
  readonly needs: readonly string[];
  readonly packages: string;
  command(release: string, target: string, more: readonly string[]): readonly string[];
}

/** gzip, because every computer and this program can unpack it. */
const MAKERS: Readonly<Record<ForeignInitramfs["by"], Maker>> = {
  "live-boot": {
    needs: ["usr/sbin/mkinitramfs", "usr/share/initramfs-tools/scripts/live"],
    packages: "initramfs-tools and live-boot",
    command: (release, target, more) => ["mkinitramfs", "-c", "gzip", "-o", target, ...more, release],
  },
  dracut: {
    needs: ["usr/bin/dracut", "usr/lib/dracut/modules.d/90dmsquash-live/module-setup.sh"],
    packages: "dracut-core and dracut-live (Debian), dracut-live (Fedora), dracut (Arch, openSUSE)",
    command: (release, target, more) => [
      ...["dracut", "--force", "--gzip", "--reproducible", "--no-hostonly", "--no-hostonly-cmdline", "--no-hostonly-i18n"],
      ...["--add", "dmsquash-live", "--kver", release, ...more, target],
    ],
  },
};

const TARGET = "/hiperiso-initrd.img";

/** The whole initrd. */
export async function foreignInitramfs(
  { by, release, kernel, root, arguments: more }: ForeignInitramfs,
  run: StageRun,
): Promise<Uint8Array> {
  const { needs, packages, command } = MAKERS[by];
  if (root === undefined) {
    const hint = `Give it the input \`root\`: a root file system in which ${packages} are installed.`;
    throw new HiperisoError({ what: `make an initramfs by ${by}`, expected: "the input root", found: "none", hint, kind: "usage" });
  }
  const scratch = join(run.scratch, "initramfs");
  await mkdir(scratch);
  await using tree = await openTree({ tar: join(root, "root.tar"), scratch, run });
  for (const path of needs) {
    if (await tree.exists(path)) continue;
    const hint = `Install ${packages} in the root file system.`;
    throw new HiperisoError({ what: `make an initramfs by ${by}`, where: `/${path}`, expected: "this file", found: "none", hint });
  }
  // The kernel stage's modules and lists, also where the root file system has some of its own: what the medium's kernel can load is what counts.
  const unpack = ["tar", "-C", "/", "-x", "--keep-directory-symlink", "--no-same-owner"];
  await tree.run(unpack, { input: createReadStream(join(kernel, "modules.tar")) });
  const config = await readFile(join(kernel, "config")).catch(() => undefined);
  if (config !== undefined) await tree.put([{ kind: "file", path: `boot/config-${release}`, mode: 0o644, content: config }]);
  await tree.run(command(release, TARGET, more), { variables: { SOURCE_DATE_EPOCH: `${run.epochS}` } });
  return await normalized(tree, run);
}

/** What programs of an initramfs may want before devtmpfs is mounted. The makers try to make them, which only some who build may. */
const DEVICES = deviceEntries({
  "dev/console": { type: "character", major: 5, minor: 1, mode: "0600" },
  "dev/kmsg": { type: "character", major: 1, minor: 11, mode: "0644" },
  "dev/null": { type: "character", major: 1, minor: 3, mode: "0666" },
  "dev/random": { type: "character", major: 1, minor: 8, mode: "0666" },
  "dev/urandom": { type: "character", major: 1, minor: 9, mode: "0666" },
});

async function normalized(tree: Tree, run: StageRun): Promise<Uint8Array> {
  const made = await tree.read(TARGET);
  const archives = unpackedArchives(made);
  // busybox may have hundreds of names: as files of their own they would take as much memory each.
  const pack = (entries: readonly TreeEntry[]): Uint8Array => encodeCpio(entries, { mtimeS: run.epochS, linkShared: true });
  // Microcode must come first and not be compressed (Linux: Documentation/arch/x86/microcode.rst).
  const early = archives.plain.length === 0 ? new Uint8Array() : pack(archives.plain);
  const files = archives.packed.filter(({ kind }) => kind !== "character-device" && kind !== "block-device");
  return Buffer.concat([early, gzipSync(pack([...files, ...DEVICES]), { level: 9 })]);
}

interface Archives {
  /** What stood before the compressed part. */
  readonly plain: readonly TreeEntry[];
  readonly packed: readonly TreeEntry[];
}

/**
 * The files of an initrd: archives one behind the other, with zeros between them, of which the last may be compressed by gzip
 * (Linux: Documentation/driver-api/early-userspace/buffer-format.rst). An initrd that is not compressed at all is all `packed`.
 */
export function unpackedArchives(initrd: Uint8Array): Archives {
  const plain: TreeEntry[] = [];
  let at = 0;
  for (;;) {
    while (initrd[at] === 0) at += 1;
    if (at >= initrd.length) return { plain: [], packed: plain };
    if (initrd[at] === 0x1f && initrd[at + 1] === 0x8b) break;
    const { entries, end } = decodeCpio(initrd.subarray(at), "initrd");
    plain.push(...entries);
    at += end;
  }
  let unpacked: Uint8Array;
  try {
    unpacked = gunzipSync(initrd.subarray(at));
  } catch (error) {
    throw new HiperisoError({ what: "unpack an initrd", where: `initrd@${at}`, expected: "gzip", found: reasonOf(error), cause: error });
  }
  const { plain: before, packed } = unpackedArchives(unpacked);
  return { plain, packed: [...before, ...packed] };
}
