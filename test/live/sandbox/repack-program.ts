/** Unpacks an archive in a sandbox, runs a command in it, and packs it again: ARCHIVE TARGET SCRATCH COMMAND… */
import { quietJob } from "../../../src/contract/job.ts";
import { openTree } from "../../../src/live/sandbox/tree.ts";

const [archive, target, scratch, ...command] = process.argv.slice(2) as [string, string, string, ...string[]];
const tree = await openTree({ tar: archive, scratch, run: { env: process.env, job: quietJob, epochS: 1767225600 } });
const { stdout } = await tree.run(command);
await tree.pack(target, { epochS: 1767225600 });
await tree[Symbol.asyncDispose]();
process.stdout.write(stdout);
