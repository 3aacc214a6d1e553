/** Builds a spec, or some of its stages, and prints the result's path: SPEC STORE STAGE… */
import { quietJob } from "../../../src/contract/job.ts";
import { buildPlan } from "../../../src/live/runner.ts";

const [plan, store, ...stages] = process.argv.slice(2) as [string, string, ...string[]];
const { output } = await buildPlan(plan, { store, env: process.env, ...(stages.length === 0 ? {} : { stages }) }, quietJob);
process.stdout.write(output ?? "");
