import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { type MediaGraph, planMediaGraph } from "../../../src/live/catalyst/media-graph.ts";
import type { PackageWorld } from "../../../src/live/catalyst/package-worlds.ts";
import { worldOf } from "../../../src/live/catalyst/package-worlds.ts";
import { decodeCatalystSpec } from "../../../src/live/catalyst/spec-file.ts";
import { KERNEL_KEYS, SPEC_KEYS } from "../../../src/live/catalyst/spec-keys.ts";
import { mediaSpecText } from "../../../src/live/catalyst/spec-text.ts";
import { checkSpecs } from "../../../src/live/catalyst/specs.ts";
import { checkPlan } from "../../../src/live/checked-plan.ts";
import { decodePlan } from "../../../src/live/plan.ts";
import { STAGE1, STAGE2 } from "./every-key.ts";

function graphOf(texts: readonly string[], world: PackageWorld = "portage"): MediaGraph {
  const specs = texts.map((text, at) => decodeCatalystSpec(text, `${at + 1}.spec`));
  return planMediaGraph(checkSpecs(specs), { name: "live", epochS: 1_767_225_600, world, seedEnding: ".tar.xz" });
}

const textOf = (graph: MediaGraph) => mediaSpecText(graph, { from: ["1.spec", "2.spec"] });
const stagesOf = ({ spec }: MediaGraph) => spec["stages"] as Record<string, Record<string, unknown>>;
const reasonsOf = ({ notCarried }: MediaGraph) => notCarried.map(({ path, line, key, because }) => `${path}:${line}: ${key}: ${because}`);

describe("specs with every key", () => {
  const graph = graphOf([STAGE1, STAGE2]);

  test("all that is known stands in them", () => {
    const one = decodeCatalystSpec(STAGE1, "1").keys;
    const two = decodeCatalystSpec(STAGE2, "2").keys;
    for (const { key, target } of SPEC_KEYS) {
      if (target !== "livecd-stage2") expect([...one.keys()]).toContain(key);
      if (target !== "livecd-stage1") expect([...two.keys()]).toContain(key);
    }
    for (const { key } of KERNEL_KEYS) expect([...two.keys()]).toContain(`boot/kernel/gentoo/${key}`);
  });

  test("the system on one side, kernel and loaders on the other, the medium takes both", () => {
    const inputs = Object.fromEntries(Object.entries(stagesOf(graph)).map(([name, stage]) => [name, stage["inputs"] ?? {}]));
    expect(inputs).toEqual({
      seed: {},
      packages: { base: "seed" },
      system: { base: "packages" },
      smaller: { base: "system" },
      "kernel-system": { base: "seed" },
      kernel: { root: "kernel-system" },
      payloads: { root: "kernel-system" },
      image: { root: "smaller", kernel: "kernel" },
      iso: { root: "image", kernel: "kernel", payloads: "payloads" },
      test: { image: "iso" },
    });
  });

  test("what each key becomes", () => {
    const { packages, system, smaller, "kernel-system": kernelSystem, kernel, image, iso, test: bootTest } = stagesOf(graph);
    expect(packages).toMatchObject({
      packages: ["app-editors/vim", "sys-apps/pciutils", "sys-apps/usbutils"],
      files: "live/system-stage1",
    });
    expect(system).toMatchObject({
      hostname: "livecd",
      files: "live/system",
      users: { ada: { groups: expect.arrayContaining(["wheel", "audio"]) }, grace: {} },
      services: { enable: ["sshd|default", "acpid", "dmesg|boot"], disable: ["netmount", "keymaps|boot"] },
      scripts: ["live/fsscript.sh"],
    });
    expect(smaller).toMatchObject({ remove_packages: ["sys-devel/gcc", "app-arch/cpio"], remove: ["etc/make.conf.old"] });
    expect((smaller!["scripts"] as [{ run: string }])[0].run).toBe(
      [
        "emerge --depclean --with-bdeps=y",
        "rm -rf -- /lib/*.a",
        "rm -rf -- /etc/*-",
        "if [ -d /var/tmp ] && [ ! -L /var/tmp ]; then find /var/tmp -mindepth 1 -delete; fi",
        "if [ -d /usr/share/doc ] && [ ! -L /usr/share/doc ]; then find /usr/share/doc -mindepth 1 -delete; fi",
      ].join("\n"),
    );
    expect(kernelSystem!["packages"]).toEqual([
      "sys-kernel/gentoo-kernel-bin",
      "net-wireless/broadcom-sta",
      "sys-kernel/dracut",
      "sys-boot/grub",
    ]);
    expect(kernel!["initramfs"]).toEqual({ by: "dracut", arguments: ["--xz", "--no-hostonly"] });
    expect(image).toMatchObject({ compression: "xz", block_kib: 1024 });
    expect(iso).toMatchObject({
      volume_id: "GENTOO_LINUX_AMD64_20260102",
      file: "Install-Media.iso",
      title: "Gentoo Linux amd64 20260102",
      timeout: 10,
      kernel_arguments: ["dokeymap", "quiet"],
      checksums: true,
      files: "live/medium",
      entries: [
        "live",
        "toram",
        { id: "console-tty0", arguments: ["console=tty0"] },
        "serial",
        { id: "softlevel-gamecd", arguments: ["softlevel=gamecd"] },
      ],
    });
    expect(bootTest).toMatchObject({ firmware: ["uefi", "bios"], until: "login" });
  });

  test("what stands beside the spec", () => {
    expect(graph.beside.map((file) => (file.kind === "text" ? [file.to, file.text] : [file.to, file.kind, file.from]))).toEqual([
      ["live/seed.tar.xz", "archive", "default/stage3-amd64-20260102"],
      ["live/system-stage1/etc/portage", "folder", "confdir"],
      ["live/system/etc/portage", "folder", "confdir"],
      ["live/system/etc/modprobe.d/livecd-blacklist.conf", "# From livecd/modblacklist.\nblacklist pcspkr\nblacklist 8139cp\n"],
      ["live/system/etc/motd", "file", "motd.txt"],
      ["live/system", "folder", "root-overlay"],
      ["live/fsscript.sh", "file", "fsscript.sh"],
      ["live/medium", "folder", "overlay"],
      ["live/medium/README.txt", "file", "README.txt"],
    ]);
  });

  test("each key is carried over or told, with its line, in the order of the files", () => {
    const reasons = reasonsOf(graph);
    const told = new Set(graph.notCarried.map(({ key }) => key));
    for (const { key, left } of SPEC_KEYS) if (left !== undefined) expect([...told]).toContain(key);
    for (const { key, left } of KERNEL_KEYS) if (left !== undefined) expect([...told]).toContain(`boot/kernel/gentoo/${key}`);
    expect(reasons).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^2\.spec:\d+: boot\/kernel: a medium has one kernel here: gentoo; rescue would be another medium's$/),
        expect.stringMatching(
          /boot\/kernel\/gentoo\/sources: sys-kernel\/gentoo-sources is sources of a kernel.*; sys-kernel\/gentoo-kernel-bin is taken$/,
        ),
        expect.stringMatching(/boot\/kernel\/gentoo\/initramfs_overlay: catalyst gives it to genkernel alone/),
        expect.stringMatching(/livecd\/fsops: of its arguments these are not known: -no-recovery$/),
        expect.stringMatching(/livecd\/rm: \.\.\/escape is no path from the root of the tree$/),
        expect.stringMatching(/livecd\/iso: the image is named Install-Media\.iso/),
        expect.stringMatching(/livecd\/volid: the volume's name is GENTOO_LINUX_AMD64_20260102/),
        expect.stringMatching(/livecd\/verify: the list on the medium is \/sha256sum\.txt/),
        expect.stringMatching(/livecd\/fsscript: it ends at the first command that fails/),
      ]),
    );
    const places = graph.notCarried.map(({ path, line }) => `${path}:${String(line).padStart(4, "0")}`);
    expect(places).toEqual([...places].sort());
  });

  test("is a spec of ours that its kinds of stages accept, as YAML too", () => {
    const text = textOf(graph);
    expect(parse(text)).toEqual(graph.spec);
    expect(checkPlan(decodePlan(text, "live.yaml"), {}).map(({ name }) => name)).toEqual(Object.keys(stagesOf(graph)));
    for (const row of reasonsOf(graph)) expect(text).toContain(`#   ${row}\n`);
  });
});

describe("one spec of the two", () => {
  test("livecd-stage1 alone comes to an image", () => {
    const graph = graphOf([STAGE1]);
    expect(Object.keys(stagesOf(graph))).toEqual(["seed", "packages", "image"]);
    expect(graph.spec["result"]).toEqual({ stage: "image", file: "root.squashfs" });
    checkPlan(decodePlan(textOf(graph), "live.yaml"), {});
  });

  test("livecd-stage2 alone begins with what livecd-stage1 made", () => {
    const graph = graphOf([STAGE2]);
    expect(stagesOf(graph)["system"]).toMatchObject({ inputs: { base: "seed" } });
    expect(graph.beside[0]).toMatchObject({ from: "default/livecd-stage1-amd64-20260102" });
    checkPlan(decodePlan(textOf(graph), "live.yaml"), {});
  });
});

describe("packages of apt", () => {
  const DEBIAN = `target: livecd-stage2\nsource_subpath: debian\nboot/kernel: debian\nboot/kernel/debian/sources: linux-image-cloud-amd64\nportage_confdir: /etc/portage\n`;
  const graph = graphOf([`${DEBIAN}livecd/rcadd: ssh|default cron|boot\nlivecd/depclean: keepbdeps\nlivecd/users: ada\n`], "apt");

  test("names of packages, services of systemd, groups", () => {
    expect(stagesOf(graph)["kernel-system"]).toMatchObject({
      packages: ["linux-image-cloud-amd64", "busybox-static", "grub-pc-bin", "grub-efi-amd64-bin"],
    });
    expect(stagesOf(graph)["system"]).toMatchObject({
      services: { enable: ["ssh", "cron"] },
      users: { ada: { groups: expect.arrayContaining(["sudo"]) } },
    });
    expect(reasonsOf(graph)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/livecd\/rcadd: cron\|boot: systemd has no runlevels/),
        expect.stringMatching(/livecd\/depclean: packages that nothing needs stay/),
        expect.stringMatching(/portage_confdir: packages are not Portage's here/),
      ]),
    );
    expect(stagesOf(graph)["test"]).toBeUndefined();
    checkPlan(decodePlan(textOf(graph), "live.yaml"), {});
  });

  test("are seen from their names", () => {
    expect([worldOf(["vim", "less"]), worldOf(["vim", "sys-apps/less"]), worldOf([])]).toEqual(["apt", "portage", "apt"]);
  });
});

describe("what cannot be as it was", () => {
  const one = (line: string) => graphOf([`target: livecd-stage2\nsource_subpath: x\nboot/kernel: k\n${line}\n`]);
  test.each([
    ["subarch: arm64", /subarch: media are made for x86-64 only/],
    ["livecd/fstype: jffs2", /livecd\/fstype: the image is a squashfs, not jffs2/],
    ["livecd/fsops: -comp lzo -Xbcj arm", /not known: -comp lzo -Xbcj arm$/],
    ["livecd/type: gentoo-release-livecd", /livecd\/type: the texts, users and menus of gentoo-release-livecd are Gentoo's own/],
    ["livecd/iso_extra_partition: 300000", /a stage of kind disk has one/],
    ["livecd/empty: tmp", /livecd\/empty: tmp is no path from the root of the tree/],
    ["livecd/rm: /", /livecd\/rm: \/ is no path from the root of the tree/],
  ])("%s", (line, reason) => {
    expect(reasonsOf(one(line))).toEqual(expect.arrayContaining([expect.stringMatching(reason)]));
  });

  test("an initramfs is ours unless dracut has words; an overlay goes into ours", () => {
    const kernelOf = (line: string) => stagesOf(one(line))["kernel"]!["initramfs"];
    expect([kernelOf(""), kernelOf("boot/kernel/k/initramfs_overlay: over"), kernelOf("boot/kernel/k/dracut_args: --xz")]).toEqual([
      {},
      { files: "live/initramfs" },
      { by: "dracut", arguments: ["--xz"] },
    ]);
  });

  test("motd of a release, which catalyst itself leaves out; its clean-up of texts is kept", () => {
    const graph = one("livecd/type: gentoo-release-minimal\nlivecd/motd: motd\nlivecd/depclean: no");
    expect(reasonsOf(graph)).toEqual(expect.arrayContaining([expect.stringMatching(/livecd\/motd: catalyst itself leaves it out/)]));
    expect(stagesOf(graph)["smaller"]).toMatchObject({
      scripts: [{ run: "rm -rf -- /usr/share/man/*\nrm -rf -- /usr/share/doc/*\nrm -rf -- /usr/share/info/*" }],
    });
  });

  test("nothing of a spec is a command where it stands in a script", () => {
    const graph = one("livecd/rm: /a*;reboot /b*$(id) /c*`id`\nlivecd/empty: /d;id\nlivecd/depclean: no");
    expect((stagesOf(graph)["smaller"]!["scripts"] as [{ run: string }])[0].run.split("\n")).toEqual([
      "rm -rf -- /a*\\;reboot",
      "rm -rf -- /b*\\$\\(id\\)",
      "rm -rf -- /c*\\`id\\`",
      "if [ -d '/d;id' ] && [ ! -L '/d;id' ]; then find '/d;id' -mindepth 1 -delete; fi",
    ]);
  });
});

test("whatever the values are, the text is the graph, and its comments are comments", () => {
  const keys = [
    ...SPEC_KEYS.filter(({ target }) => target !== "livecd-stage1").map(({ key }) => key),
    ...KERNEL_KEYS.map(({ key }) => `boot/kernel/k/${key}`),
  ].filter((key) => !["target", "source_subpath", "boot/kernel"].includes(key));
  const word = fc.stringMatching(/^[!-"$%&-~\u00e9\u202e]{1,12}$/).filter((text) => !text.includes("%") && text.toLowerCase() !== "none");
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom(...keys), word, { noNullPrototype: true }),
      fc.constantFrom("apt" as const, "portage" as const),
      (values, world) => {
        const lines = Object.entries(values).map(([key, value]) => `${key}: ${value}\n`);
        const graph = graphOf([`target: livecd-stage2\nsource_subpath: x\nboot/kernel: k\n${lines.join("")}`], world);
        expect(parse(textOf(graph))).toEqual(graph.spec);
      },
    ),
    { numRuns: 300 },
  );
});
