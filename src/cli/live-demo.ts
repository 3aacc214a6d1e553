import { Command } from "@commander-js/extra-typings";
import { HiperisoError } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";
import { buildDemo, DEMO_VARIANTS, type DemoVariant } from "../live/demo.ts";
import type { Cli } from "./cli.ts";

export function demoCommand(cli: Cli) {
  return new Command("demo")
    .description("Build the demo image and print its path.")
    .option("--variant <name>", `one of ${DEMO_VARIANTS.join(", ")}`, "normal")
    .action(async ({ variant }) => {
      cli.out(`${printable(await buildDemo({ env: cli.env, variant: checkedVariant(variant) }, cli.job))}\n`);
    });
}

function checkedVariant(name: string): DemoVariant {
  const found = DEMO_VARIANTS.find((variant) => variant === name);
  if (found !== undefined) return found;
  throw new HiperisoError({
    what: "build the demo image",
    where: "--variant",
    expected: `one of ${DEMO_VARIANTS.join(", ")}`,
    found: name,
    kind: "usage",
  });
}
