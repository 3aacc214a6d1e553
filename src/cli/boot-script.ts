/** The flags of `hiperiso boot` by which a script drives the guest. */
import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { HiperisoError } from "../contract/error.ts";
import { VARIABLE_NAME } from "../contract/script.ts";
import { type Environment, tildify } from "../host/xdg.ts";
import type { AskedLimits } from "../machine/limits.ts";
import type { Drive } from "../session/drive.ts";
import { scriptDrive } from "../suite/run-script.ts";
import { askedSeconds, type Script } from "../suite/script.ts";
import { readScript } from "../suite/script-file.ts";

export interface ScriptOptions {
  readonly script?: string | undefined;
  readonly variable?: readonly string[] | undefined;
  readonly until?: string | undefined;
}

const UNTIL = "login";

export function addScriptFlags(command: CommandUnknownOpts): void {
  command.addOption(new Option("--script <file>", "steps by which the guest is driven (YAML); the boot is a success when all have passed"));
  command.addOption(
    new Option("--variable <name=value>", "what stands for {{name}} in the script; may be repeated").argParser(
      (value: string, before: readonly string[] | undefined) => [...(before ?? []), value],
    ),
  );
}

/** `NAME=VALUE`, several. Throws (`usage`) at anything else. */
export function variablesOf(settings: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    settings.map((setting) => {
      const at = setting.indexOf("=");
      const name = setting.slice(0, Math.max(at, 0));
      if (VARIABLE_NAME.test(name)) return [name, setting.slice(at + 1)];
      throw new HiperisoError({
        what: "understand the flags",
        where: "--variable",
        expected: "NAME=VALUE, the name of letters, digits and _",
        found: `"${setting}"`,
        kind: "usage",
      });
    }),
  );
}

export interface ScriptedBoot {
  readonly goal: string;
  readonly drive?: Drive;
  readonly limits: Pick<AskedLimits, "scriptLimitS">;
}

/** What ends the boot: `--until`, or the script. `given`: a script that was read already. Throws (`usage`) where both are asked for, and at what is wrong in the script. */
export async function scriptedBoot(options: ScriptOptions, env: Environment, given?: Script): Promise<ScriptedBoot> {
  const { script: path, until } = options;
  if (path === undefined && given === undefined) {
    const unused = (options.variable?.length ?? 0) > 0 ? "--variable" : until === "script" ? "--until script" : undefined;
    if (unused === undefined) return { goal: until ?? UNTIL, limits: {} };
    throw new HiperisoError({ what: `boot with ${unused}`, expected: "a --script as well", found: "none", kind: "usage" });
  }
  if (until !== undefined && until !== "script") {
    throw new HiperisoError({
      what: "choose what ends the boot",
      expected: "--until or --script",
      found: "both",
      hint: "A script ends the boot with its last step: wait-stage and expect wait in it for what --until would wait for.",
      kind: "usage",
    });
  }
  const script = given ?? (await readScript(path ?? "", { variables: variablesOf(options.variable) }));
  return {
    goal: "script",
    drive: scriptDrive(script, (where) => tildify(where, env)),
    limits: { scriptLimitS: askedSeconds(script) },
  };
}
