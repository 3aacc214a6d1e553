/** Which processor features QEMU takes by name, and which of them its best processor has under an accelerator. */
import * as z from "zod";
import { run } from "./qemu-facts.ts";

export interface QemuProcessors {
  readonly known: ReadonlySet<string>;
  readonly given: { readonly tcg: ReadonlySet<string> | undefined; readonly kvm: ReadonlySet<string> | undefined };
}

/** `qemu`: an absolute path. `kvm`: whether to ask for KVM as well; an accelerator that does not answer has given nothing. Throws when QEMU cannot be run. */
export async function qemuProcessors(
  qemu: string,
  { kvm, signal }: { readonly kvm: boolean; readonly signal: AbortSignal },
): Promise<QemuProcessors> {
  const ask = async (accelerator: "tcg" | "kvm", model: string): Promise<ReadonlyMap<string, boolean> | undefined> => {
    const words = ["-M", "none", "-nodefaults", "-no-user-config", "-display", "none", "-accel", accelerator, "-qmp", "stdio"];
    const answer = await run(qemu, words, expansionQuestion(model), signal).catch(() => "");
    signal.throwIfAborted();
    return decodeExpansion(answer);
  };
  const [help, tcg, host] = await Promise.all([
    run(qemu, ["-cpu", "help"], "", signal),
    ask("tcg", "max"),
    kvm ? ask("kvm", "host") : undefined,
  ]);
  const flags = decodeProcessorHelp(help);
  // Other spellings of a flag stand among the properties of a processor and not in the help.
  const spellings = [...(tcg ?? [])].map(([name]) => name).filter((name) => isSpellingOf(name, flags));
  const given = (properties: ReadonlyMap<string, boolean> | undefined) =>
    properties === undefined ? undefined : new Set([...properties].filter(([, on]) => on).map(([name]) => name));
  return { known: new Set([...flags, ...spellings]), given: { tcg: given(tcg), kvm: given(host) } };
}

const isSpellingOf = (name: string, flags: ReadonlySet<string>): boolean =>
  /[-_]/.test(name) && (flags.has(name.replaceAll("_", "-")) || flags.has(name.replaceAll(/[-_]/g, ".")));

const expansionQuestion = (model: string): string =>
  [
    { execute: "qmp_capabilities" },
    { execute: "query-cpu-model-expansion", arguments: { type: "full", model: { name: model } }, id: "expansion" },
    { execute: "quit" },
  ]
    .map((command) => `${JSON.stringify(command)}\n`)
    .join("");

/** `-cpu help`: models first, then the flags, wrapped, behind their heading. */
export function decodeProcessorHelp(text: string): ReadonlySet<string> {
  const lines = text.split("\n").map((line) => line.trim());
  const start = lines.findIndex((line) => line.startsWith("Recognized CPUID flags"));
  if (start < 0) return new Set();
  const end = lines.indexOf("", start);
  const names = lines.slice(start + 1, end < 0 ? lines.length : end).flatMap((line) => line.split(/\s+/));
  return new Set(names.filter((name) => /^[\w.-]+$/.test(name)));
}

const expansionSchema = z.object({
  id: z.literal("expansion"),
  return: z.object({ model: z.object({ props: z.record(z.string(), z.unknown()) }) }),
});

/** `text`: QMP, a JSON object a line. Undefined where there is no answer in it. */
export function decodeExpansion(text: string): ReadonlyMap<string, boolean> | undefined {
  for (const line of text.split("\n")) {
    try {
      const found = expansionSchema.safeParse(JSON.parse(line));
      if (!found.success) continue;
      const properties = Object.entries(found.data.return.model.props);
      return new Map(properties.filter((entry): entry is [string, boolean] => typeof entry[1] === "boolean"));
    } catch {
      // Not a line of QMP.
    }
  }
  return undefined;
}
