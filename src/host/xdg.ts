/** Where a person's files stand: XDG Base Directory Specification 0.8. */
import { access, constants, stat } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";

/** As `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Absolute paths; none of them need exist. Programs make a folder of their own below them. */
export interface XdgFolders {
  readonly home: string;
  readonly config: string;
  readonly cache: string;
  readonly state: string;
  /**
   * For sockets and the like. Without $XDG_RUNTIME_DIR the folder for temporary files, where others write too: use
   * `mkdtemp` below it. See `runtimeFolder`.
   */
  readonly runtime: string;
}

export function xdgFolders(env: Environment): XdgFolders {
  const home = absolute(env["HOME"]) ?? homedir();
  return {
    home,
    config: absolute(env["XDG_CONFIG_HOME"]) ?? join(home, ".config"),
    cache: absolute(env["XDG_CACHE_HOME"]) ?? join(home, ".cache"),
    state: absolute(env["XDG_STATE_HOME"]) ?? join(home, ".local", "state"),
    runtime: absolute(env["XDG_RUNTIME_DIR"]) ?? absolute(env["TMPDIR"]) ?? tmpdir(),
  };
}

/**
 * `xdgFolders(env).runtime` where files can be made in it, else the folder for temporary files: `su` and `sudo` may hand
 * on a folder that belongs to somebody else, or that is gone.
 */
export async function runtimeFolder(env: Environment): Promise<string> {
  const { runtime } = xdgFolders(env);
  try {
    await access(runtime, constants.W_OK | constants.X_OK);
    return (await stat(runtime)).isDirectory() ? runtime : tmpdir();
  } catch {
    return tmpdir();
  }
}

/** The specification: "If an implementation encounters a relative path […] it should consider the path invalid and ignore it." */
function absolute(value: string | undefined): string | undefined {
  return value !== undefined && isAbsolute(value) ? value : undefined;
}

/** Home folders of other people on this computer: what a path shows when the program runs under sudo. */
const SOMEBODYS_HOME = /^\/(?:var\/)?home\/[^/]+(?=\/|$)/;

/**
 * A path below a home folder, written with `~`, so that it names nobody. The way back (`expandTilde`) leads to the
 * home folder of whoever runs the program then.
 */
export function tildify(path: string, env: Environment): string {
  const { home } = xdgFolders(env);
  const base = home.endsWith("/") ? home.slice(0, -1) : home;
  if (base !== "" && (path === base || path.startsWith(`${base}/`))) return `~${path.slice(base.length)}`;
  return path.replace(SOMEBODYS_HOME, "~");
}

/** `~` and `~/…` below the home folder; any other path as it is. */
export function expandTilde(path: string, env: Environment): string {
  if (path === "~") return xdgFolders(env).home;
  return path.startsWith("~/") ? join(xdgFolders(env).home, path.slice(2)) : path;
}
