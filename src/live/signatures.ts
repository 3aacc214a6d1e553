/** Detached signatures by the person's own key: minisign, or OpenPGP by gpg. */
import { createReadStream } from "node:fs";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { HiperisoError } from "../contract/error.ts";
import type { Environment } from "../host/xdg.ts";
import { runTool } from "./tool.ts";

export interface SigningKey {
  readonly by: "minisign" | "gpg";
  /** minisign: the file of the secret key. gpg: that of an exported secret key, or the id of one in the person's own keyring. */
  readonly key: string;
  /** File whose first line opens the key. A key without one needs none. */
  readonly passwordFile?: string | undefined;
}

/** What its name gets at the end. */
export const SIGNATURE_SUFFIX = { minisign: ".minisig", gpg: ".asc" } as const;

export interface SignOptions {
  readonly env: Environment;
  readonly signal: AbortSignal;
  /** Said in a signature of minisign, and signed with it: one line. */
  readonly comment: string;
}

/** Writes the signature of `path` beside it and returns its path. Throws with what the program said. */
export async function signFile(path: string, key: SigningKey, options: SignOptions): Promise<string> {
  const target = `${path}${SIGNATURE_SUFFIX[key.by]}`;
  try {
    await (key.by === "minisign" ? signByMinisign(path, target, key, options) : signByGpg(path, target, key, options));
    // A program that signed nothing and says that all is well must not be believed.
    if ((await stat(target)).size === 0) throw new Error("it wrote an empty signature");
  } catch (error) {
    options.signal.throwIfAborted();
    const [found, hint] = [error instanceof HiperisoError ? (error.found ?? error.message) : String(error), hintFor(key)];
    throw new HiperisoError({ what: `sign by ${key.by}`, where: key.key, found, hint, kind: "usage", cause: error });
  }
  return target;
}

const hintFor = ({ by, passwordFile }: SigningKey): string =>
  passwordFile === undefined
    ? "A key with a password needs --key-password-file."
    : `Check the key and the password: ${by === "minisign" ? "minisign -S -s KEY -m FILE" : "gpg --list-secret-keys"}`;

async function signByMinisign(path: string, target: string, { key, passwordFile }: SigningKey, options: SignOptions): Promise<void> {
  const { env, signal, comment } = options;
  // It reads the password from its input where that is no terminal.
  const input = Readable.from([`${await passwordIn(passwordFile)}\n`]);
  await runTool("minisign", ["-S", "-s", key, "-m", path, "-x", target, "-t", comment], { env, signal, input });
}

async function signByGpg(path: string, target: string, { key, passwordFile }: SigningKey, { env, signal }: SignOptions): Promise<void> {
  const isFile = (await stat(key).catch(() => undefined))?.isFile() ?? false;
  // A key from a file stays out of the person's keyring. The folder's path is short, since gpg's agent listens on a socket in it.
  const home = isFile ? await mkdtemp(join(tmpdir(), "hiperiso-gpg-")) : undefined;
  const own = env["GNUPGHOME"];
  const variables = home === undefined ? (own === undefined ? {} : { GNUPGHOME: own }) : { GNUPGHOME: home };
  const password = await passwordIn(passwordFile);
  const gpg = (args: readonly string[], input: Readable): Promise<string> =>
    runTool("gpg", ["--batch", "--yes", "--quiet", "--pinentry-mode", "loopback", ...args], { env, signal, variables, input });
  const withPassword = ["--passphrase-fd", "0"];
  try {
    if (home !== undefined) await gpg(["--import"], createReadStream(key));
    const user = home === undefined ? ["--local-user", key] : [];
    await gpg([...withPassword, ...user, "--armor", "--output", target, "--detach-sign", path], Readable.from([`${password}\n`]));
  } finally {
    if (home !== undefined) {
      await runTool("gpgconf", ["--kill", "all"], { env, signal: new AbortController().signal, variables }).catch(() => {});
      await rm(home, { recursive: true, force: true });
    }
  }
}

async function passwordIn(path: string | undefined): Promise<string> {
  return path === undefined ? "" : ((await readFile(path, "utf8")).split(/\r?\n/)[0] ?? "");
}
