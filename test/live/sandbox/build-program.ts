/** Builds a spec and prints the result's path: SPEC STORE. */
import { quietJob } from "../../../src/contract/job.ts";
import { buildPlan } from "../../../src/live/runner.ts";

const [plan, store] = process.argv.slice(2) as [string, string];
const { output } = await buildPlan(plan, { store, env: process.env }, quietJob);
process.stdout.write(output ?? "");
