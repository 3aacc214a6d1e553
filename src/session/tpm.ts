/** The TPM of one attempt: swtpm beside QEMU, with a state of its own or one that a person keeps. */
import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { tryHoldDirectory } from "../host/lock.ts";
import { SWTPM_SOCKET, startSwtpm } from "../host/swtpm.ts";
import type { TpmPlan } from "../machine/features/extras.ts";

/** Below the scratch directory: the state, or a link to it. */
const STATE = "tpm-state";

export const tpmSocketPath = (scratch: string): string => join(scratch, SWTPM_SOCKET);

/** `scratch`: private to the attempt. The folder of a kept state is made when missing, and is nobody else's while the TPM runs. */
export async function startTpm(
  plan: TpmPlan,
  scratch: string,
  { env, signal }: { readonly env: NodeJS.ProcessEnv; readonly signal: AbortSignal },
): Promise<AsyncDisposable> {
  const state = join(scratch, STATE);
  const start = () => startSwtpm({ program: plan.program, folder: scratch, state: STATE, env, signal });
  if (plan.state === null) {
    await mkdir(state, { mode: 0o700 });
    return await start();
  }
  await makeState(plan.state);
  const held = await hold(plan.state);
  try {
    await symlink(plan.state, state);
    const swtpm = await start();
    return {
      [Symbol.asyncDispose]: async () => {
        await swtpm[Symbol.asyncDispose]();
        await held[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await held[Symbol.asyncDispose]();
    throw error;
  }
}

/** swtpm itself lets two guests write one state, and then neither has one. */
async function hold(folder: string): Promise<AsyncDisposable> {
  const held = await tryHoldDirectory(folder, "tpm");
  if (held !== undefined) return held;
  throw new HiperisoError({
    what: "use the TPM's state",
    where: folder,
    expected: "a folder that no running guest uses",
    found: "another hiperiso has it",
    hint: "End that boot first, or give this one a folder of its own by --tpm-state.",
  });
}

async function makeState(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new HiperisoError({
      what: "keep the TPM's state",
      where: folder,
      expected: "a folder that can be made and written",
      found: reasonOf(error),
      cause: error,
    });
  }
}
