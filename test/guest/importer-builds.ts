/** The importer, built by each compiler that is here, for each width of pointers. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const IMPORTER_SOURCE = fileURLToPath(new URL("../../guest/payload-import/payload-import.c", import.meta.url));
const HARNESS_SOURCE = fileURLToPath(new URL("payload-import-harness.c", import.meta.url));

const STRICT = ["-std=c89", "-pedantic", "-Wall", "-Wextra", "-Werror"];
const SANITIZED = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

type Step = readonly [program: string, ...args: string[]];

/** `{source}` and `{output}` stand for the paths. More than one step: the last links what the one before compiled. */
const RECIPES: Readonly<Record<string, { readonly needs: string; readonly steps: readonly Step[] }>> = {
  "gcc, 64 bits": { needs: "gcc", steps: [["gcc", "-m64", ...STRICT, "-O2", "-o", "{output}", "{source}"]] },
  "gcc, 32 bits": { needs: "gcc with -m32", steps: [["gcc", "-m32", ...STRICT, "-O2", "-o", "{output}", "{source}"]] },
  "gcc with sanitizers, 64 bits": {
    needs: "gcc with its sanitizers",
    steps: [["gcc", "-m64", ...STRICT, ...SANITIZED, "-o", "{output}", "{source}"]],
  },
  "gcc with sanitizers, 32 bits": {
    needs: "gcc with -m32 and its sanitizers",
    steps: [["gcc", "-m32", ...STRICT, ...SANITIZED, "-o", "{output}", "{source}"]],
  },
  "tcc, 64 bits": { needs: "tcc", steps: [["tcc", "-std=c89", "-Wall", "-Werror", "-o", "{output}", "{source}"]] },
  // tcc compiles for 32 bits wherever it is, and finds the C library for it hardly anywhere.
  "tcc, 32 bits": {
    needs: "tcc, and gcc with -m32",
    steps: [
      ["tcc", "-m32", "-march=i386", "-std=c89", "-Wall", "-Werror", "-c", "-o", "{output}.o", "{source}"],
      ["gcc", "-m32", "-no-pie", "-o", "{output}", "{output}.o"],
    ],
  },
};

const HARNESSES: Readonly<Record<string, Step>> = {
  "64 bits": ["gcc", "-m64", "-std=gnu11", "-Wall", "-Wextra", "-Werror", ...SANITIZED, "-o", "{output}", "{source}"],
  "32 bits": ["gcc", "-m32", "-std=gnu11", "-Wall", "-Wextra", "-Werror", ...SANITIZED, "-o", "{output}", "{source}"],
};

export interface Build {
  readonly name: string;
  /** Undefined where it cannot be built here. */
  readonly program: string | undefined;
  readonly needs: string;
}

const TRIVIAL = "int main(void) { return 0; }\n";

/** A folder with all that can be built. Throws where a compiler that works does not take the source. */
export class Workshop {
  readonly folder = mkdtempSync(join(tmpdir(), "hiperiso-test-"));

  /** Of all builds, or of those named. */
  importers(...names: readonly string[]): readonly Build[] {
    const wanted = Object.entries(RECIPES).filter(([name]) => names.length === 0 || names.includes(name));
    return wanted.map(([name, { needs, steps }], index) => ({
      name,
      needs,
      program: this.#build(`importer-${index}`, IMPORTER_SOURCE, steps),
    }));
  }

  /** Without a shared library, for a guest that has none: by tcc for 32 bits, as the bootstrap builds it, or by gcc for 64. */
  staticImporter(bits: 32 | 64): Build {
    const { needs, steps } = RECIPES[bits === 32 ? "tcc, 32 bits" : "gcc, 64 bits"]!;
    const linking = steps.map((step, index): Step => (index === steps.length - 1 ? [...step, "-static"] : step));
    return {
      name: `static, ${bits} bits`,
      needs: `${needs}, and static C libraries`,
      program: this.#build(`static-${bits}`, IMPORTER_SOURCE, linking),
    };
  }

  harnesses(): readonly Build[] {
    return Object.entries(HARNESSES).map(([name, step]) => ({
      name,
      needs: "gcc with its sanitizers",
      program: this.#build(`harness-${name.slice(0, 2)}`, HARNESS_SOURCE, [step]),
    }));
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #build(name: string, source: string, steps: readonly Step[]): string | undefined {
    const output = join(this.folder, name);
    // Whoever cannot build nothing at all lacks a library or a compiler; our source is then not to blame.
    if (!this.#run(steps, "-", `${output}.trivial`, TRIVIAL).works) return undefined;
    const { works, said } = this.#run(steps, source, output);
    if (!works) throw new Error(`${steps[0]![0]} does not take ${source}:\n${said}`);
    return output;
  }

  #run(steps: readonly Step[], source: string, output: string, input?: string): { readonly works: boolean; readonly said: string } {
    for (const [program, ...words] of steps) {
      const filled = words.map((word) => word.replaceAll("{source}", source).replaceAll("{output}", output));
      // Neither compiler knows the language of what comes through a pipe.
      const language =
        source === "-" && filled.includes("-") ? filled.flatMap((word) => (word === "-" ? ["-x", "c", "-"] : [word])) : filled;
      const { status, stdout, stderr } = spawnSync(program, language, { input: input ?? "", encoding: "utf8" });
      if (status !== 0) return { works: false, said: `${stdout}${stderr}` };
    }
    return { works: spawnSync(output, { timeout: 60_000 }).status !== null, said: "" };
  }
}
