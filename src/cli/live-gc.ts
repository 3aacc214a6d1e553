import { resolve } from "node:path";
import { Command } from "@commander-js/extra-typings";
import { duration } from "../analysis/quantities.ts";
import { printable } from "../formats/escape-terminal.ts";
import { systemClock } from "../host/clock.ts";
import { defaultStore } from "../live/demo.ts";
import { planGc } from "../live/gc.ts";
import { Store } from "../live/store.ts";
import type { Cli } from "./cli.ts";
import { ageOf, bytesOf } from "./live-options.ts";
import { examplesText } from "./program.ts";
import { byteSize } from "./terminal.ts";

export function gcCommand(cli: Cli) {
  return new Command("gc")
    .description("Remove kept outputs that the last build of no spec needs, and what failed stages left.")
    .option("--store <folder>", "where outputs of stages are kept", defaultStore(cli.env))
    .option("--older-than <age>", "only what was not used for so long: 12h, 30d, 8w", ageOf)
    .option("--max-size <size>", "only until no more is kept than that, what was not used for longest first: 20G", bytesOf)
    .option("--all", "also what the last builds need")
    .option("--cache", "also what stages fetched: package lists, packages")
    .option("--dry-run", "say what would go, and remove nothing")
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso live gc --dry-run", "what could go"],
        ["hiperiso live gc --older-than 30d", "what no build used for 30 days"],
        ["hiperiso live gc --max-size 10G --all", "down to 10 GiB, whatever it takes"],
      ]),
    )
    .action(async (flags) => {
      const store = await Store.open(resolve(flags.store), cli.env);
      const nowMs = systemClock.nowMs();
      const wish = { unusedMs: flags.olderThan, maxBytes: flags.maxSize, all: flags.all };
      const plan = planGc(await store.inventory(), wish, nowMs);
      let freedBytes = flags.dryRun === true ? plan.freedBytes : 0;
      const gone: unknown[] = [];
      const say = (what: string, usedMs: number, sizeBytes: number): void => {
        if (flags.json !== true)
          cli.out(`${printable(what)}  ${byteSize(sizeBytes)}, not used for ${duration(Math.max(nowMs - usedMs, 0))}\n`);
      };
      for (const { name, sizeBytes, failedMs } of plan.failed) {
        cli.job.signal.throwIfAborted();
        if (flags.dryRun !== true) {
          await store.removeFailed(name);
          freedBytes += sizeBytes;
        }
        gone.push({ failed: name, sizeBytes });
        say(`failed ${name}`, failedMs, sizeBytes);
      }
      for (const { hash, kind, sizeBytes, usedMs } of plan.outputs) {
        cli.job.signal.throwIfAborted();
        if (flags.dryRun !== true) {
          if ((await store.removeOutputs([hash], cli.job.signal)).length === 0) continue; // a build began to use it
          freedBytes += sizeBytes;
        }
        gone.push({ hash, kind, sizeBytes });
        say(`${kind} ${hash.slice(0, 12)}`, usedMs, sizeBytes);
      }
      if (flags.dryRun !== true) await store.removeRemains();
      const cacheBytes = flags.cache === true ? await store.removeCache(cli.job.signal, flags.dryRun) : 0;
      if (cacheBytes === undefined) cli.job.progress.warn("what stages fetched is left: a build is running that may be using it");
      else if (cacheBytes > 0) {
        freedBytes += cacheBytes;
        gone.push({ cache: true, sizeBytes: cacheBytes });
        if (flags.json !== true) cli.out(`what stages fetched  ${byteSize(cacheBytes)}\n`);
      }
      const keptBytes = plan.keptBytes + plan.freedBytes - (freedBytes - (cacheBytes ?? 0));
      if (flags.json === true) cli.json({ removed: gone, freedBytes, keptBytes, dryRun: flags.dryRun === true });
      else
        cli.out(
          `${flags.dryRun === true ? "would free" : "freed"} ${byteSize(freedBytes)}; ${byteSize(keptBytes)} are kept in ${printable(store.root)}\n`,
        );
    });
}
