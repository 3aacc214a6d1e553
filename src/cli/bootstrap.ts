import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { readCheckout } from "../bootstrap/checkout.ts";
import { planBootstrap } from "../bootstrap/plan.ts";
import { readPlanFacts } from "../bootstrap/plan-facts.ts";
import { planText } from "../bootstrap/plan-text.ts";
import { EXIT } from "../contract/error.ts";
import { bootCommand, runCommand } from "./bootstrap-boot.ts";
import { askedOf, bootstrapCommand } from "./bootstrap-options.ts";
import { compareCommand, prepareCommand } from "./bootstrap-prepare.ts";
import { sourcesCommand } from "./bootstrap-sources.ts";
import type { Cli } from "./cli.ts";
import { examplesText } from "./program.ts";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("bootstrap")
    .description("Make media that build a whole system from a few hundred bytes of readable code, and boot them.")
    .addCommand(plan(cli))
    .addCommand(sourcesCommand(cli))
    .addCommand(prepareCommand(cli))
    .addCommand(bootCommand(cli))
    .addCommand(runCommand(cli))
    .addCommand(compareCommand(cli));
}

function plan(cli: Cli) {
  return bootstrapCommand("plan")
    .description("Say which file goes where and why, what the early code can hold, and which steps will run. Nothing is written.")
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso bootstrap plan --tree lb --qemu --external-sources -m http://mirror", "a small first image and a payload disk"],
        ["hiperiso bootstrap plan --tree lb --qemu -m http://mirror", "the guest downloads what comes late"],
        ["hiperiso bootstrap plan --tree lb --chroot -m file:///srv/distfiles --json", "for programs"],
      ]),
    )
    .action(async (values) => {
      const { tree, distfiles, options } = askedOf(values);
      const [checkout, facts] = await Promise.all([readCheckout(tree, cli.job), readPlanFacts(distfiles, options, cli.job)]);
      const made = planBootstrap(checkout, options, facts);
      if (values.json === true) cli.json(made);
      else cli.out(planText(made));
      if (made.limits.some(({ ok, stops }) => ok === false && stops)) cli.exit(EXIT.goalMissed);
    });
}
