/** A spec of real stages that is built in seconds: packages from a mirror of its own, and no content that is larger than it must be. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { lookForTool } from "../../src/host/tools.ts";
import { buildModule } from "../formats/build-module.ts";

const TOOLS = ["apt-get", "apt-cache", "apt-config", "dpkg-deb", "mksquashfs", "xorriso", "grub-mkimage"];
export const hasQuickTools = (await Promise.all(TOOLS.map((name) => lookForTool(name, process.env)))).every((path) => path !== undefined);

export interface QuickSpec {
  readonly spec: string;
  /** With which apt sees its own mirror alone. */
  readonly env: Readonly<Record<string, string>>;
  /** Each behind its inputs. */
  readonly stages: readonly string[];
}

const SPEC = `name: quick
epoch: 1767225600
result: { stage: iso, file: quick.iso }
stages:
  kernel-package: { kind: package, first_of: [linux-image-quick] }
  busybox-package: { kind: package, first_of: [busybox-quick] }
  busybox: { kind: unpack, inputs: { package: busybox-package }, files: { busybox: [bin/busybox] } }
  kernel: { kind: kernel, inputs: { package: kernel-package }, modules: [sr_mod] }
  root:
    kind: rootfs
    inputs: { busybox: busybox, kernel: kernel }
    files: root
    folders: { root: "0700" }
    busybox: { bin: [sh] }
  image: { kind: squashfs, inputs: { root: root } }
  initramfs: { kind: initramfs, inputs: { busybox: busybox, kernel: kernel }, files: initramfs, busybox: { bin: [sh] } }
  loaders:
    kind: payloads
    from_computer: true
    grub: { modules: [iso9660, fat, part_gpt, search, search_fs_file, configfile, normal, linux], bios_modules: [biosdisk], efi_modules: [] }
  iso:
    kind: iso
    inputs: { root: image, kernel: kernel, initramfs: initramfs, loaders: loaders }
    file: quick.iso
    volume_id: QUICK
    title: quick
  disk: { kind: disk, inputs: { root: image, kernel: kernel, initramfs: initramfs, payloads: loaders }, file: quick.img, title: quick }
  netboot: { kind: netboot, inputs: { root: image, kernel: kernel, initramfs: initramfs }, title: quick }
`;

/** Larger than what a disk that is all but full has left, and of a kind that nothing makes smaller. */
const CONTENT_BYTES = 400 * 1024;

function content(seed: string): Uint8Array {
  const blocks: Uint8Array[] = [];
  for (let index = 0; index < CONTENT_BYTES / 64; index++) blocks.push(createHash("sha512").update(`${seed} ${index}`).digest());
  return Buffer.concat(blocks);
}

/** Makes mirror, configuration of apt, spec and sources in an empty folder. */
export function writeQuickSpec(folder: string): QuickSpec {
  const put = (path: string, bytes: string | Uint8Array): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), bytes);
  };
  for (const name of ["mirror", "state/lists/partial", "cache/archives/partial"]) mkdirSync(join(folder, name), { recursive: true });
  put("etc/sources.list", `deb [trusted=yes] copy:${folder}/mirror ./\n`);
  put("state/status", "");
  const settings = {
    "Dir::Etc": `${folder}/etc`,
    "Dir::Etc::sourceparts": "-",
    "Dir::State": `${folder}/state`,
    "Dir::State::status": `${folder}/state/status`,
    "Dir::Cache": `${folder}/cache`,
    "APT::Architecture": "amd64",
    "APT::Sandbox::User": "",
  };
  put(
    "apt.conf",
    Object.entries(settings)
      .map(([key, value]) => `${key} "${value}";\n`)
      .join(""),
  );

  const records = [
    pack(folder, "linux-image-quick", {
      "boot/vmlinuz-6.1": content("kernel"),
      "lib/modules/6.1/modules.builtin": "",
      "lib/modules/6.1/kernel/drivers/scsi/sr_mod.ko": buildModule("name=sr_mod\0depends=\0"),
    }),
    pack(folder, "busybox-quick", { "bin/busybox": content("busybox") }),
  ];
  put("mirror/Packages", records.join("\n"));

  put("spec/root/etc/issue", "quick\n");
  put("spec/root/usr/share/words", content("words"));
  put("spec/initramfs/init", "#!/bin/sh\n");
  chmodSync(join(folder, "spec/initramfs/init"), 0o755);
  put("spec/quick.yaml", SPEC);
  const env = { PATH: process.env["PATH"] ?? "", HOME: folder, APT_CONFIG: join(folder, "apt.conf") };
  const stages = [
    "kernel-package",
    "busybox-package",
    "busybox",
    "kernel",
    "root",
    "image",
    "initramfs",
    "loaders",
    "iso",
    "disk",
    "netboot",
  ];
  return { spec: join(folder, "spec/quick.yaml"), env, stages };
}

/** Builds a package into the mirror, and gives its record for the mirror's list. */
function pack(folder: string, name: string, files: Readonly<Record<string, string | Uint8Array>>): string {
  const tree = join(folder, "tree");
  const control = `Package: ${name}\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: test\n`;
  for (const [path, bytes] of Object.entries({ ...files, "DEBIAN/control": control })) {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), bytes);
  }
  const file = `${name}_1_all.deb`;
  const target = join(folder, "mirror", file);
  const { status, stderr } = spawnSync("dpkg-deb", ["-Znone", "--build", tree, target], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  rmSync(tree, { recursive: true });
  const digest = createHash("sha256").update(readFileSync(target)).digest("hex");
  return `${control}Filename: ./${file}\nSize: ${statSync(target).size}\nSHA256: ${digest}\n`;
}
