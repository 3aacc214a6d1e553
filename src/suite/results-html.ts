/** Results as a page that needs nothing but a browser. All that came from outside is text (`formats/escape-html.ts`); same results, same bytes. */
import { isAbsolute, relative } from "node:path";
import { htmlDocument } from "../analysis/html-document.ts";
import { duration } from "../analysis/quantities.ts";
import { SESSION_FILES } from "../contract/session.ts";
import type { SuiteResult } from "../contract/suite.ts";
import { html, type Markup } from "../formats/escape-html.ts";
import { suiteSummary } from "./results.ts";

type Job = SuiteResult["jobs"][number];

/** `folder`: where the page will stand, absolute: its links to the sessions' reports are relative to that. */
export function resultsHtml(result: SuiteResult, folder: string): string {
  const title = `${suiteSummary(result)}: ${result.name}`;
  return htmlDocument({
    title,
    pictures: false,
    header: html`<h1>${result.name}</h1>
<p>${suiteSummary(result)}, in ${duration(result.duration_ms)}. Begun ${result.started_utc}.</p>`,
    main: html`<table>
<caption>One boot a row. Of a job that was run again the last counts.</caption>
<thead><tr><th scope="col">Boot</th><th scope="col">Result</th><th scope="col">Stage</th><th scope="col" class="number">Took</th><th scope="col">Sessions</th></tr></thead>
<tbody>
${result.jobs.map((job) => html`${jobRow(job, folder)}\n`)}</tbody>
</table>`,
    footer: html`Made by hiperiso. <code>--json</code> and <code>--junit</code> hold the same for programs.`,
  });
}

const WORDS = { passed: "passed", failed: "failed", error: "error", not_run: "not run" } as const;

function jobRow(job: Job, folder: string): Markup {
  const run = job.runs.at(-1);
  const word =
    job.status === "passed"
      ? html`passed${job.flaky ? ` when run again, after ${job.runs.length - 1}` : ""}`
      : html`<b>${WORDS[job.status]}</b>`;
  const why = run === undefined || job.status === "passed" ? undefined : html`<br>${run.why}`;
  return html`<tr><th scope="row">${job.id}</th><td>${word}${why}</td><td>${run?.stage ?? "–"}</td><td class="number">${
    run === undefined ? "–" : duration(run.duration_ms)
  }</td><td>${job.runs.map((one, index) => (one.session === null ? undefined : html`<a href="${linkTo(one.session, folder)}">run ${index + 1}</a> `))}</td></tr>`;
}

/** A relative reference (RFC 3986, 4.2) to a session's page: it begins with a dot, so that nothing in it is taken for a scheme. */
function linkTo(session: string, folder: string): string {
  const path = isAbsolute(session) ? relative(folder, session) : session;
  const steps = [...path.split("/").filter((step) => step !== ""), SESSION_FILES.reportPage];
  return `./${steps.map(encodeURIComponent).join("/")}`;
}
