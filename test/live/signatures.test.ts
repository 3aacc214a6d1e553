import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type SigningKey, signFile } from "../../src/live/signatures.ts";

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-sign-"));
  file = join(folder, "file");
  await writeFile(file, "content");
});
afterEach(() => rm(folder, { recursive: true }));

const shell = (script: string, variables: Readonly<Record<string, string>> = {}) => {
  const { status, stdout, stderr } = spawnSync("bash", ["-ec", script], {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, ...variables },
  });
  expect(status, stderr).toBe(0);
  return stdout;
};
const sign = (key: SigningKey, env = process.env) =>
  signFile(file, key, { env, signal: new AbortController().signal, comment: "what it is" });
const has = (program: string) => spawnSync(program, ["--version"]).error === undefined;

describe("a signature", () => {
  test.skipIf(!has("minisign"))("by minisign, with a key that has a password", async () => {
    shell("printf 'secret\\nsecret\\n' | minisign -G -p key.pub -s key >&2; echo secret > password; echo wrong > wrong");
    const key: SigningKey = { by: "minisign", key: join(folder, "key"), passwordFile: join(folder, "password") };
    expect(await sign(key)).toBe(`${file}.minisig`);
    expect(shell("minisign -V -p key.pub -m file")).toContain("Trusted comment: what it is\n");
    await expect(sign({ ...key, passwordFile: join(folder, "wrong") })).rejects.toThrow(/cannot sign by minisign: .*[Ww]rong password/s);
  });

  test.skipIf(!has("gpg"))("by gpg, with a key from a file or of the keyring", async () => {
    // Short, since gpg's agent listens on a socket in it.
    const home = await mkdtemp(join(tmpdir(), "hiperiso-g-"));
    const GNUPGHOME = { GNUPGHOME: home };
    try {
      const make =
        "gpg --batch --quiet --pinentry-mode loopback --passphrase secret --quick-generate-key 'Me <me@example.org>' ed25519 sign never";
      shell(
        `echo secret > password; ${make}; gpg --batch --quiet --pinentry-mode loopback --passphrase secret --armor --export-secret-keys > secret.asc`,
        GNUPGHOME,
      );
      const passwordFile = join(folder, "password");
      const env = { ...process.env, ...GNUPGHOME };
      for (const key of [join(folder, "secret.asc"), "me@example.org"]) {
        expect(await sign({ by: "gpg", key, passwordFile }, env)).toBe(`${file}.asc`);
        shell("gpg --batch --quiet --verify file.asc file && rm file.asc", GNUPGHOME);
      }
      await expect(sign({ by: "gpg", key: "nobody@example.org" }, env)).rejects.toThrow(
        /cannot sign by gpg: nobody@example\.org: found .*secret key/is,
      );
      await writeFile(passwordFile, "wrong");
      await expect(sign({ by: "gpg", key: join(folder, "secret.asc"), passwordFile }, env)).rejects.toThrow(/[Bb]ad passphrase/);
    } finally {
      spawnSync("gpgconf", ["--kill", "all"], { env: { ...process.env, ...GNUPGHOME } });
      await rm(home, { recursive: true, force: true });
    }
  });
});
