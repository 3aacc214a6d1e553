import type { Problem, ReportProblem } from "../formats/problem.ts";
import { diskNumber, type ProblemFacts } from "./image-facts.ts";

/** Enough to see what is wrong; a directory of noise would fill pages. */
const PROBLEMS_MAX = 100;

/** Collects what the decoders report, each place and message once, and no more than a person would read. */
export class Problems {
  readonly #kept = new Map<string, Problem>();
  #omitted = 0;

  readonly report: ReportProblem = (problem) => {
    const key = `${problem.offset} ${problem.structure} ${problem.expected} ${problem.found}`;
    if (this.#kept.has(key)) return;
    if (this.#kept.size < PROBLEMS_MAX) this.#kept.set(key, problem);
    else this.#omitted += 1;
  };

  /** For structures of a volume whose offsets count from its own start. */
  reportFrom(start: bigint): ReportProblem {
    return (problem) => this.report({ ...problem, offset: problem.offset + start });
  }

  facts(): { readonly problems: readonly ProblemFacts[]; readonly problemsOmitted: number } {
    const problems = [...this.#kept.values()].map(({ offset, structure, expected, found }) => ({
      offset: diskNumber(offset),
      structure,
      expected,
      found,
    }));
    return { problems, problemsOmitted: this.#omitted };
  }
}
