/** A spec whose stages run programs of their own root file systems, built in seconds and without a network. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lookForTool } from "../../src/host/tools.ts";

const TOOLS = ["mmdebstrap", "dpkg-deb", "bwrap", "unshare", "tar", "gzip"];
const BUSYBOX = await lookForTool("busybox", process.env);
export const hasSandboxTools =
  BUSYBOX !== undefined && (await Promise.all(TOOLS.map((name) => lookForTool(name, process.env)))).every((path) => path !== undefined);

/** Stages whose work runs in a sandbox, or in a program that is told to end with us. */
export const SANDBOX_STAGES = ["debs", "tarball", "script"] as const;

/** `script` writes more than a disk that is all but full has left, and files of other owners, which only their namespace can remove. */
const spec = (mirror: string): string => `name: sandboxed
epoch: 1767225600
result: { stage: script, file: root.tar }
stages:
  debs:
    kind: seed
    mmdebstrap: { suite: quick, variant: extract, packages: [base-quick], sources: ["deb [trusted=yes] copy:${mirror} ./"] }
  tarball: { kind: seed, tarball: { file: seed.tar.gz } }
  script:
    kind: rootfs
    inputs: { base: tarball }
    scripts:
      - run: |
          mkdir -p /srv/of-another && chmod 700 /srv/of-another
          echo secret >/srv/of-another/file
          chown -R 1000:1000 /srv/of-another
          echo the script has begun
          seq 1 600000 >/srv/numbers
          sha256sum /srv/numbers >/srv/sum
          i=0; while [ $i -lt 2000 ]; do i=$((i + 1)); echo "$i" >>/srv/more; done
`;

/** Makes seed, mirror and spec in an empty folder. The spec's path. */
export function writeSandboxSpec(folder: string): string {
  const tree = join(folder, "tree");
  for (const name of ["bin", "etc", "srv", "DEBIAN"]) mkdirSync(join(tree, name), { recursive: true });
  copyFileSync(BUSYBOX!, join(tree, "bin/busybox"));
  for (const name of ["sh", "mkdir", "chmod", "chown", "seq", "sha256sum"]) symlinkSync("busybox", join(tree, "bin", name));
  run("tar", ["--create", "--gzip", "--file", join(folder, "seed.tar.gz"), "--directory", tree, "bin", "etc", "srv"]);

  const control = "Package: base-quick\nVersion: 1\nArchitecture: amd64\nMaintainer: nobody\nDescription: test\n";
  writeFileSync(join(tree, "DEBIAN/control"), control);
  const mirror = join(folder, "mirror");
  mkdirSync(mirror);
  const deb = join(mirror, "base-quick_1_amd64.deb");
  run("dpkg-deb", ["-Znone", "--root-owner-group", "--build", tree, deb]);
  const digest = createHash("sha256").update(readFileSync(deb)).digest("hex");
  writeFileSync(join(mirror, "Packages"), `${control}Filename: ./base-quick_1_amd64.deb\nSize: ${statSync(deb).size}\nSHA256: ${digest}\n`);
  const path = join(folder, "sandboxed.yaml");
  writeFileSync(path, spec(mirror));
  return path;
}

function run(name: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(name, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
}
