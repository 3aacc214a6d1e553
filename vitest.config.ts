import { defineConfig } from "vitest/config";

const HOUR_MS = 3_600_000;

/**
 * unit: no QEMU, seconds. real: one boot per capability, minutes under emulation.
 * long: every other real boot. Limits are generous: tests wait on events, not on clocks.
 */
export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/**/*.test.ts"], exclude: ["test/real/**"], testTimeout: 60_000, hookTimeout: 60_000 } },
      {
        test: {
          name: "real",
          include: ["test/real/**/*.test.ts"],
          exclude: ["test/real/**/*.long.test.ts"],
          testTimeout: HOUR_MS,
          hookTimeout: HOUR_MS,
          fileParallelism: false,
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
