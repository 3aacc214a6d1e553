import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

const HOUR_MS = 3_600_000;

/** Of the tests without QEMU, those that take seconds each: long property runs, real processes, whole file systems. */
const BROAD = [
  "test/analysis/console-scan.test.ts",
  "test/analysis/own-rules.test.ts",
  "test/analysis/report-html.test.ts",
  "test/bootstrap/download.test.ts",
  "test/bootstrap/hostile-mirrors.test.ts",
  "test/bootstrap/plan.test.ts",
  "test/bootstrap/prepare.test.ts",
  "test/cli/bootstrap-prepare.test.ts",
  "test/cli/bootstrap-sources-process.test.ts",
  "test/cli/bootstrap-sources.test.ts",
  "test/cli/disk-loop.test.ts",
  "test/cli/disk.test.ts",
  "test/cli/doctor.test.ts",
  "test/cli/firmware.test.ts",
  "test/cli/live.test.ts",
  "test/cli/log-trace.test.ts",
  "test/cli/payload.test.ts",
  "test/cli/program.test.ts",
  "test/cli/stick-adopt.test.ts",
  "test/cli/stick-loop.test.ts",
  "test/cli/stick-pick.test.ts",
  "test/cli/stick.test.ts",
  "test/disk/exfat/check.test.ts",
  "test/disk/exfat/cuts.test.ts",
  "test/disk/exfat/volume.test.ts",
  "test/disk/fat/check.test.ts",
  "test/disk/fat/cuts.test.ts",
  "test/disk/fat/foreign.test.ts",
  "test/disk/fat/volume.test.ts",
  "test/disk/ntfs.test.ts",
  "test/disk/open-volume.test.ts",
  "test/disk/partitions/gpt.test.ts",
  "test/disk/power-cuts.test.ts",
  "test/disk/volume-model.test.ts",
  "test/formats/firmware-volume.test.ts",
  "test/formats/lzma.test.ts",
  "test/formats/qcow2.test.ts",
  "test/formats/tar-reader.test.ts",
  "test/formats/trace-line.test.ts",
  "test/formats/trace-transcoder.test.ts",
  "test/guest/payload-import.test.ts",
  "test/host/desktop.test.ts",
  "test/host/guarded-process.test.ts",
  "test/host/kvm.test.ts",
  "test/host/lock.test.ts",
  "test/house/package.test.ts",
  "test/image/block-source.test.ts",
  "test/image/disk-format.test.ts",
  "test/image/fuzz.test.ts",
  "test/image/volume-tree.test.ts",
  "test/live/cuts.test.ts",
  "test/live/elf-closure.test.ts",
  "test/live/kernel.test.ts",
  "test/live/medium.test.ts",
  "test/live/medium/media.test.ts",
  "test/live/package.test.ts",
  "test/live/payloads.test.ts",
  "test/live/publish.test.ts",
  "test/live/root-image.test.ts",
  "test/live/rootfs.test.ts",
  "test/live/runner.test.ts",
  "test/live/runtime-stages.test.ts",
  "test/live/sandbox-cuts.test.ts",
  "test/live/sandbox/killed.test.ts",
  "test/live/sandbox/tree.test.ts",
  "test/live/seed.test.ts",
  "test/live/seed/oci.test.ts",
  "test/live/shell.test.ts",
  "test/live/signatures.test.ts",
  "test/live/store-cuts.test.ts",
  "test/live/tree-script.test.ts",
  "test/scripts/setup.test.ts",
  "test/session/directory.test.ts",
  "test/session/orphans.test.ts",
  "test/session/record.test.ts",
  "test/session/session-index.test.ts",
  "test/stick/add.test.ts",
  "test/stick/adopt/adopt.test.ts",
  "test/stick/adopt/translate.test.ts",
  "test/stick/create.test.ts",
  "test/stick/pull.test.ts",
  "test/stick/verify.test.ts",
  "test/suite/run-script.test.ts",
];

/** Files share what they import: loading it anew for each would take longer than the tests. No test may change what another sees. */
const SHARED = { isolate: false, maxWorkers: availableParallelism(), testTimeout: 120_000, hookTimeout: 120_000 };

/**
 * unit: no QEMU, all of them in under a minute. broad: no QEMU, a minute or two more. real: one boot per capability, minutes under emulation.
 * long: every other real boot. Limits are generous: tests wait on events, not on clocks.
 */
export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/**/*.test.ts"], exclude: ["test/real/**", ...BROAD], ...SHARED } },
      { test: { name: "broad", include: BROAD, ...SHARED } },
      {
        test: {
          name: "real",
          include: ["test/real/**/*.test.ts"],
          exclude: ["test/real/**/*.long.test.ts"],
          testTimeout: HOUR_MS,
          hookTimeout: HOUR_MS,
          // An emulated guest keeps one processor busy, mostly.
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: "long",
          include: ["test/real/**/*.long.test.ts"],
          testTimeout: HOUR_MS,
          hookTimeout: HOUR_MS,
          fileParallelism: false,
        },
      },
    ],
  },
});
