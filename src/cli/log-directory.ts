import { join, resolve } from "node:path";
import { type Environment, expandTilde, xdgFolders } from "../host/xdg.ts";

/** Where sessions are kept on a workstation unless somebody says otherwise. */
export const standardLogDirectory = (env: Environment): string => join(xdgFolders(env).state, "hiperiso", "logs");

/** What `--log-dir` means: the standard folder where it was not given. */
export const logDirectoryOf = (given: string | undefined, env: Environment): string =>
  given === undefined ? standardLogDirectory(env) : resolve(expandTilde(given, env));
