/** Which machine QEMU plays: one of the two PCs that hiperiso knows how to put together, in any version that QEMU has. Pure. */
import { HiperisoError } from "../../contract/error.ts";
import { printable } from "../../formats/escape-terminal.ts";

export type MachineType = "q35" | "pc";

/** What QEMU says of a machine it can play. */
export interface KnownMachine {
  readonly name: string;
  readonly aliasOf: string | null;
}

export interface ChosenMachine {
  readonly type: MachineType;
  /** As it was asked for: `q35`, `pc-q35-7.2`. */
  readonly name: string;
}

/** `machines` empty: QEMU was not asked, and only the plain names are taken. Throws a usage error on a machine of another kind, or one that QEMU has not. */
export function chooseMachine(asked: string, machines: readonly KnownMachine[]): ChosenMachine {
  const type = typeOf(asked);
  const known = asked === type || machines.some(({ name }) => name === asked);
  if (type !== undefined && known) return { type, name: asked };
  const family = machines.map(({ name }) => name).filter((name) => typeOf(name) !== undefined);
  throw new HiperisoError({
    what: "choose a machine",
    where: "--machine",
    expected: `q35, pc, or one of their versions${family.length === 0 ? "" : ` in this QEMU: ${family.join(", ")}`}`,
    found: `"${printable(asked)}"`,
    hint:
      type === undefined
        ? "Other machines have other controllers: images would not find their disks."
        : "`qemu-system-x86_64 -machine help` lists its machines.",
    kind: "usage",
  });
}

function typeOf(name: string): MachineType | undefined {
  if (name === "q35" || /^pc-q35-[\w.+-]+$/.test(name)) return "q35";
  return name === "pc" || /^pc-i440fx-[\w.+-]+$/.test(name) ? "pc" : undefined;
}
