import { resolve } from "node:path";
import { Command } from "@commander-js/extra-typings";
import { EXIT, HiperisoError } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";
import { defaultStore } from "../live/demo.ts";
import { NotTested, publishBuild } from "../live/publish.ts";
import { buildPlan } from "../live/runner.ts";
import type { SigningKey } from "../live/signatures.ts";
import { stageKindsWith } from "../live/stages/kinds.ts";
import type { Cli } from "./cli.ts";
import { renderError, reportOf } from "./error-report.ts";
import { liveBoots } from "./live-boots.ts";
import { collected, jobsOf, stageOptions } from "./live-options.ts";
import { examplesText, programVersion } from "./program.ts";

export function publishCommand(cli: Cli) {
  return new Command("publish")
    .description("Build a spec's image, and put it with its manifest, sums, signature and boot report into a folder.")
    .argument("<spec>", "spec file (YAML)")
    .argument("<folder>", "folder of releases; each gets a folder of its own there")
    .option("--minisign-key <file>", "sign the sums with this secret key of minisign")
    .option("--gpg-key <key>", "sign the sums by gpg: file of a secret key, or the id of one in your keyring")
    .option("--key-password-file <file>", "file whose first line opens the key")
    .option("--sbom", "a bill of materials for other programs too (CycloneDX)")
    .option("--untested", "publish also what passed no boot test; its page says so")
    .option("--variant <name>", "one of the spec's variants")
    .option("--set <stage.option=value>", "replace an option of a stage, its value as YAML; may be repeated", collected, [])
    .option("--store <folder>", "where outputs of stages are kept", defaultStore(cli.env))
    .option("--no-test", "boot nothing; needs --untested")
    .option("--jobs <n>", "at most so many stages at once, and boots", jobsOf)
    .option("--log-dir <folder>", "where the sessions of boots are made")
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso live publish debian.yaml /srv/images --minisign-key ~/.minisign/minisign.key", "a signed release of its own folder"],
        ["hiperiso live publish debian.yaml out --no-test --untested", "without a boot; the page says so"],
      ]),
    )
    .action(async (spec, folder, flags) => {
      const { variant, jobs } = flags;
      if (!flags.test && flags.untested !== true) {
        throw new HiperisoError({
          what: "publish an image",
          expected: "--untested beside --no-test",
          found: "--no-test alone",
          kind: "usage",
        });
      }
      const key = signingKey(flags);
      const store = resolve(flags.store);
      const boots = liveBoots(cli, { logDir: flags.logDir, jobs });
      const kinds = stageKindsWith(boots);
      const set = stageOptions(flags.set);
      const built = await buildPlan(resolve(spec), { store, env: cli.env, variant, set, kinds, tests: flags.test, jobs }, cli.job);
      const published = await publishBuild(
        {
          ...{ planPath: resolve(spec), built, store, target: resolve(folder), env: cli.env, program: `hiperiso ${programVersion()}` },
          ...{ untested: flags.untested === true, bill: flags.sbom === true, key },
        },
        cli.job,
      ).catch((error: unknown) => {
        if (!(error instanceof NotTested)) throw error;
        const report = reportOf(error, { program: "hiperiso", command: "live", signal: cli.job.signal });
        cli.err(renderError(report, { asJson: flags.json === true, colour: cli.colour, debug: false }).trimEnd());
        return undefined;
      });
      if (published === undefined) return cli.exit(EXIT.goalMissed);
      const { manifest } = published;
      if (flags.json === true)
        return cli.json({ folder: published.folder, image: published.image, sha256: manifest.image.sha256, manifest });
      cli.err(
        published.isKept ? "published before, with the same content" : `published ${manifest.image.path}, SHA-256 ${manifest.image.sha256}`,
      );
      cli.out(`${printable(published.folder)}\n`);
    });
}

interface KeyFlags {
  readonly minisignKey?: string | undefined;
  readonly gpgKey?: string | undefined;
  readonly keyPasswordFile?: string | undefined;
}

function signingKey({ minisignKey, gpgKey, keyPasswordFile }: KeyFlags): SigningKey | undefined {
  if (minisignKey !== undefined && gpgKey !== undefined) {
    throw new HiperisoError({ what: "publish an image", expected: "one key", found: "--minisign-key and --gpg-key", kind: "usage" });
  }
  const password = keyPasswordFile === undefined ? {} : { passwordFile: resolve(keyPasswordFile) };
  if (minisignKey !== undefined) return { by: "minisign", key: resolve(minisignKey), ...password };
  return gpgKey === undefined ? undefined : { by: "gpg", key: gpgKey, ...password };
}
