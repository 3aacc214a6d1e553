/** `hiperiso onboard`: the program that the stick's first process starts. It draws on the consoles of the computer, and leaves a word of what shall follow. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { execa } from "execa";
import type { Job } from "../contract/job.ts";
import { openFileStore } from "../disk/block-store.ts";
import { writeFileAtomic } from "../host/atomic-file.ts";
import { systemClock } from "../host/clock.ts";
import { openConsole, openKernelConsoles } from "../host/console.ts";
import { adoptedMenu } from "../stick/adopt/adopted-menu.ts";
import { mendAfterCut } from "../stick/mend.ts";
import { stickMenu } from "../stick/menu-maker.ts";
import { readBootLine } from "../stick/onboard/boot-line.ts";
import { consoleFace } from "../stick/onboard/console-face.ts";
import { runOnboard } from "../stick/onboard/main-loop.ts";
import { STICK_PLACES } from "../stick/onboard/places.ts";
import type { MountedEsp } from "../stick/onboard/renew-menu.ts";
import type { Cli } from "./cli.ts";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("onboard")
    .description(
      "The program on a stick: boots what the stick's menu chose, recorded, or asks which image.\nIt is started by the stick's first process and is of no use elsewhere, but for trying it with folders in the partitions' places.",
    )
    .option("--data <folder>", "where the data partition is mounted", STICK_PLACES.data)
    .option("--esp <folder>", "where the boot partition is mounted", STICK_PLACES.esp)
    .option("--run <folder>", "where the first process left its times, and finds what shall follow", STICK_PLACES.run)
    .option("--command-line <text>", "in the place of the kernel's own (/proc/cmdline)")
    .option("--console <device>", "draw there alone (default: all consoles of the kernel)")
    .option("--mend <device>", "mend a data partition that a cut of power left open, before it is mounted, and do nothing else")
    .action(async ({ data, esp, run, commandLine, console, mend }) => {
      if (mend !== undefined) return await mendDevice(mend, cli.job);
      const places = { data, esp, run };
      const consoles = console === undefined ? openKernelConsoles() : [openConsole({ path: console, term: cli.env["TERM"] })];
      await using face = consoleFace(consoles);
      const line = readBootLine(commandLine ?? (await readFile("/proc/cmdline", "utf8")));
      const next = await runOnboard({
        places,
        line,
        serial: consoles.some(({ name }) => /^\/dev\/tty(?:S|USB|AMA)\d/.test(name)),
        makeMenu: line.isAdopted ? adoptedMenu : stickMenu,
        esp: mountedEsp(esp),
        face,
        env: cli.env as NodeJS.ProcessEnv,
        clock: systemClock,
        job: cli.job,
      });
      await writeFileAtomic(join(run, "next"), `${next}\n`);
    });
}

/** The kernel never takes back what exFAT says of a cut: the flag stays, and what the cut left behind takes room, until somebody has looked. */
async function mendDevice(path: string, job: Job): Promise<void> {
  await using store = await openFileStore(path);
  await mendAfterCut(store, job);
  await store.flush();
}

/** A folder that is no mount (an adopted stick's, a trial) is writable as it is. */
function mountedEsp(path: string): MountedEsp {
  const remount = async (mode: "ro" | "rw"): Promise<boolean> => {
    const { exitCode } = await execa("mount", ["-o", `remount,${mode}`, path], { reject: false });
    return exitCode === 0;
  };
  return {
    path,
    writable: async (use) => {
      const remounted = (await isReadOnly(path)) && (await remount("rw"));
      try {
        return await use();
      } finally {
        if (remounted) await remount("ro");
      }
    },
  };
}

async function isReadOnly(path: string): Promise<boolean> {
  const mounts = await readFile("/proc/self/mounts", "utf8");
  const line = mounts.split("\n").findLast((one) => one.split(" ")[1] === path);
  return line?.split(" ")[3]?.split(",").includes("ro") === true;
}
