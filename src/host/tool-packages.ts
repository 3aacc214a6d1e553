/** Which package brings a program: out of the list by which the set-up installs. */
import { readFileSync } from "node:fs";
import * as z from "zod";

/** Beside `src/` and `dist/`: `scripts/setup.mjs` reads the same file before there is anything built. */
export const SYSTEM_PACKAGES_FILE = new URL("../../scripts/system-packages.json", import.meta.url);

const ListSchema = z.looseObject({
  tools: z.array(
    z.looseObject({
      commands: z.array(z.string()),
      also: z.array(z.string()).default([]),
      packages: z.strictObject({ debian: z.string(), fedora: z.string(), arch: z.string(), opensuse: z.string() }),
    }),
  ),
});

export type ToolPackages = z.infer<typeof ListSchema>["tools"][number]["packages"];

/** Undefined where the list does not know the program, or cannot be read: this is asked for while another error is being told. */
export function packagesOf(program: string): ToolPackages | undefined {
  try {
    const { tools } = ListSchema.parse(JSON.parse(readFileSync(SYSTEM_PACKAGES_FILE, "utf8")));
    return tools.find(({ commands, also }) => commands.includes(program) || also.includes(program))?.packages;
  } catch {
    return undefined;
  }
}
