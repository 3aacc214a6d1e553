import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expandTilde, runtimeFolder, tildify, xdgFolders } from "../../src/host/xdg.ts";

const env = { HOME: "/home/ada" };

describe("folders", () => {
  test("stand below the home folder unless set", () => {
    expect(xdgFolders({ ...env, TMPDIR: "/var/tmp" })).toEqual({
      home: "/home/ada",
      config: "/home/ada/.config",
      cache: "/home/ada/.cache",
      state: "/home/ada/.local/state",
      runtime: "/var/tmp",
    });
  });

  test("are taken from the environment where that is an absolute path, and only there", () => {
    const set = { ...env, XDG_STATE_HOME: "/srv/state", XDG_CACHE_HOME: "cache", XDG_CONFIG_HOME: "", XDG_RUNTIME_DIR: "/run/user/1000" };
    expect(xdgFolders(set)).toMatchObject({
      state: "/srv/state",
      cache: "/home/ada/.cache",
      config: "/home/ada/.config",
      runtime: "/run/user/1000",
    });
  });

  test("the runtime folder must take files, else the temporary one does", async () => {
    const ours = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
    expect(await runtimeFolder({ XDG_RUNTIME_DIR: ours })).toBe(ours);
    await rm(ours, { recursive: true });
    expect(await runtimeFolder({ XDG_RUNTIME_DIR: ours })).toBe(tmpdir());
    expect(await runtimeFolder({ XDG_RUNTIME_DIR: "/etc/passwd" })).toBe(tmpdir());
  });

  test("exist without any environment", () => {
    expect(xdgFolders({}).home).toMatch(/^\//);
    expect(xdgFolders({ HOME: "relative" }).home).toMatch(/^\//);
  });
});

describe("paths with ~", () => {
  test.each([
    ["/home/ada", "~"],
    ["/home/ada/a b.iso", "~/a b.iso"],
    ["/home/adam/x.iso", "~/x.iso"],
    ["/home/grace/x.iso", "~/x.iso"],
    ["/var/home/grace", "~"],
    ["/srv/home/x.iso", "/srv/home/x.iso"],
    ["/home", "/home"],
    ["x.iso", "x.iso"],
  ])("%s is written %s", (path, written) => {
    expect(tildify(path, env)).toBe(written);
  });

  test("a home folder with a slash at its end, or none but the root", () => {
    expect(tildify("/home/ada/x", { HOME: "/home/ada/" })).toBe("~/x");
    expect(tildify("/etc/x", { HOME: "/" })).toBe("/etc/x");
  });

  test("a path below one's own home folder comes back", () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[^/\0]{1,12}$/u).filter((name) => name !== "." && name !== ".."),
        (name) => {
          const path = `/home/ada/${name}`;
          expect(expandTilde(tildify(path, env), env)).toBe(path);
        },
      ),
    );
  });

  test("~ of somebody else, and ~ inside a path, are names like any other", () => {
    expect(expandTilde("~grace/x", env)).toBe("~grace/x");
    expect(expandTilde("/a/~/x", env)).toBe("/a/~/x");
  });
});
