import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { decodePasswd, readIdentity } from "../../src/host/identity.ts";

const PASSWD = `root:x:0:0:root:/root:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
sshd:x:105:65534::/run/sshd:/usr/sbin/nologin
ada:x:1000:1000:Ada Lovelace,Room 7,,:/home/ada:/bin/bash
charles:x:1001:1001::/srv/people/charles:/bin/sh
guest:x:1002:1002:,,,:/:/bin/sh
`;

test("people, not the system's own accounts", () => {
  expect(decodePasswd(PASSWD)).toEqual({ names: ["ada", "Ada Lovelace", "charles", "guest"], homes: ["/home/ada", "/srv/people/charles"] });
});

test("any text is read without an error, and gives no empty name and no home folder as wide as the root", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^([a-z]{0,3}:x:\d{0,5}:\d*:[A-Z ,]{0,6}:[a-z/]{0,6}:\n){0,4}/)), (text) => {
      const { names, homes } = decodePasswd(text);
      for (const name of names) expect(name).not.toBe("");
      for (const home of homes) expect(home.length).toBeGreaterThan(3);
    }),
  );
});

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
  await mkdir(join(root, "etc"));
  await mkdir(join(root, "proc/sys/kernel"), { recursive: true });
  await writeFile(join(root, "etc/passwd"), PASSWD);
  await writeFile(join(root, "proc/sys/kernel/hostname"), "engine-7\n");
});
afterAll(() => rm(root, { recursive: true }));

test("the computer, its people, and whoever runs the program", () => {
  const identity = readIdentity({ HOME: "/elsewhere/grace", USER: "grace", SUDO_USER: "ada" }, root);
  expect(identity.hostname).toBe("engine-7");
  expect(identity.users).toEqual(expect.arrayContaining(["ada", "Ada Lovelace", "charles", "grace", userInfo().username]));
  expect(identity.homes).toEqual(expect.arrayContaining(["/home/ada", "/srv/people/charles", "/elsewhere/grace"]));
});

test("without these files, what the system itself says", () => {
  expect(readIdentity({}, join(root, "none")).users).toContain(userInfo().username);
});
