/** Which rules of a person's own hold for a command: those of `--rules FILE`, else those beside the configuration. */
import { join } from "node:path";
import { type OwnRules, readOwnRules } from "../analysis/own-rules.ts";
import type { Rule } from "../analysis/rule.ts";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { type Environment, xdgFolders } from "../host/xdg.ts";
import type { Cli } from "./cli.ts";

export const RULES_OPTION = ["--rules <file>", "your own rules (default: hiperiso/rules.yaml in the XDG configuration folder)"] as const;

export const standardRulesPath = (env: Environment): string => join(xdgFolders(env).config, "hiperiso", "rules.yaml");

/**
 * The rules that are right; what is wrong in the file is warned of and stops nothing. Throws (`usage`) only where the person named a
 * file that cannot be read.
 */
export async function ownRulesFor(cli: Cli, given: string | undefined): Promise<readonly Rule[]> {
  const { rules, findings } = await ownRulesAt(cli, given);
  for (const { where, line, column, path, message } of findings)
    cli.job.progress.warn(`${where}:${line}:${column}: ${path === "" ? "" : `${path}: `}${message}`);
  return rules;
}

async function ownRulesAt(cli: Cli, given: string | undefined): Promise<OwnRules> {
  if (given !== undefined) return await readOwnRules(given);
  try {
    return await readOwnRules(standardRulesPath(cli.env));
  } catch (error) {
    if (!isMissing(error)) cli.job.progress.warn(`your own rules do not hold: ${reasonOf(error)}`);
    return { rules: [], findings: [] };
  }
}

function isMissing(error: unknown): boolean {
  const code = error instanceof HiperisoError ? (error.cause as NodeJS.ErrnoException | undefined)?.code : undefined;
  return code === "ENOENT" || code === "ENOTDIR";
}
