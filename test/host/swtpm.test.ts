/** Programs that stand in for swtpm: one that works, and those that do not. */
import { existsSync, readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startSwtpm } from "../../src/host/swtpm.ts";
import { startTpm } from "../../src/session/tpm.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function program(script: string): Promise<string> {
  const path = join(folder, "swtpm");
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return path;
}

const signal = new AbortController().signal;
const env = process.env;
/** Says what it was told, and that it listens; then it waits to be ended. */
const WORKS = 'echo "$@" > words; echo $$ > tpm.new; mv tpm.new tpm.pid; exec sleep 1000';

test("it is there when its process id is, and gone when it is given back", async () => {
  const swtpm = await startSwtpm({ program: await program(WORKS), folder, state: "tpm-state", env, signal });
  const pid = Number(await readFile(join(folder, "tpm.pid"), "utf8"));
  expect(existsSync(`/proc/${pid}`)).toBe(true);
  expect(readFileSync(join(folder, "words"), "utf8").trim()).toBe(
    "socket --tpm2 --terminate --tpmstate dir=tpm-state,mode=0600 --ctrl type=unixio,path=tpm.sock,mode=0600 --pid file=tpm.pid",
  );
  await swtpm[Symbol.asyncDispose]();
  expect(existsSync(`/proc/${pid}`)).toBe(false);
});

test("one that ends at once is a failure with its own words", async () => {
  const dies = await program('echo "swtpm: could not open the state" >&2; exit 7');
  await expect(startSwtpm({ program: dies, folder, state: "s", env, signal })).rejects.toMatchObject({
    kind: "failure",
    what: "start the TPM",
    found: "swtpm ended with status 7: swtpm: could not open the state",
  });
  await expect(startSwtpm({ program: join(folder, "none"), folder, state: "s", env, signal })).rejects.toMatchObject({
    what: "start the TPM",
  });
});

test("an abort ends the wait for one that never listens, and ends it", async () => {
  const controller = new AbortController();
  const never = await program("echo $$ > other.pid; echo there > sign; exec sleep 1000");
  const started = startSwtpm({ program: never, folder, state: "s", env, signal: controller.signal });
  let early: unknown;
  started.catch((error: unknown) => {
    early = error;
  });
  while (!existsSync(join(folder, "sign")) && early === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(early).toBeUndefined();
  controller.abort(new Error("enough"));
  await expect(started).rejects.toThrow("enough");
  expect(existsSync(`/proc/${readFileSync(join(folder, "other.pid"), "utf8").trim()}`)).toBe(false);
});

test("a state that is kept is one guest's at a time: made when missing, for its owner alone, free again when the guest is gone", async () => {
  const works = await program(WORKS);
  const state = join(folder, "kept, with a comma", "below");
  const plan = { program: works, state, because: "" };
  const scratch = async (name: string) => {
    await mkdir(join(folder, name));
    return join(folder, name);
  };
  const first = await startTpm(plan, await scratch("one"), { env, signal });
  await expect(startTpm(plan, await scratch("two"), { env, signal })).rejects.toMatchObject({
    kind: "failure",
    where: state,
    found: "another hiperiso has it",
  });
  await first[Symbol.asyncDispose]();
  const third = await startTpm(plan, await scratch("three"), { env, signal });
  await third[Symbol.asyncDispose]();
  // Also after a TPM that did not come up.
  await expect(startTpm({ ...plan, program: join(folder, "none") }, await scratch("four"), { env, signal })).rejects.toMatchObject({});
  await (await startTpm(plan, await scratch("five"), { env, signal }))[Symbol.asyncDispose]();
});

test("a state that cannot be made is said by its path", async () => {
  const works = await program(WORKS);
  const state = join(works, "below a file");
  await expect(startTpm({ program: works, state, because: "" }, folder, { env, signal })).rejects.toMatchObject({
    what: "keep the TPM's state",
    where: state,
  });
});
