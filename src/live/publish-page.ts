/** `index.html` of a published image: what it is, how to check it, how its boots went, what is in it. Same release, same bytes. */
import { htmlDocument } from "../analysis/html-document.ts";
import type { SuiteResult } from "../contract/suite.ts";
import { html, type Markup } from "../formats/escape-html.ts";
import { suiteSummary } from "../suite/results.ts";
import type { Manifest } from "./manifest.ts";
import type { SigningKey } from "./signatures.ts";

export interface Picture {
  /** Of the boot that it shows. */
  readonly boot: string;
  /** Below the report's folder. */
  readonly path: string;
  readonly png: Uint8Array;
}

export interface BootReport {
  readonly stage: string;
  readonly result: SuiteResult;
  readonly pictures: readonly Picture[];
}

export interface Release {
  readonly manifest: Manifest;
  readonly reports: readonly BootReport[];
  /** Names of files beside the page. */
  readonly files: readonly string[];
  readonly signature: { readonly by: SigningKey["by"]; readonly file: string } | undefined;
}

/** More would make the page heavier than what it tells. */
const PICTURES_SHOWN_MAX = 40;

export function publishPage({ manifest, reports, files, signature }: Release): string {
  const { image, name } = manifest;
  const pictures = reports.flatMap((report) => report.pictures);
  return htmlDocument({
    title: `${name}: ${image.path}`,
    pictures: true,
    header: html`<h1>${name}</h1>
<p class="lead">${verdict(manifest, reports)}</p>`,
    main: html`<h2>Image</h2>
<p>${fileLink(image.path)}, ${size(image.size_bytes)}</p>
<pre>SHA-256 ${image.sha256}</pre>
<p>Check it after the download:</p>
<pre>${checkLines(signature)}</pre>
${reports.map(reportSection)}
${pictures.length === 0 ? undefined : html`<h2>Screens</h2>\n${pictures.slice(0, PICTURES_SHOWN_MAX).map(figure)}`}
${packagesSection(manifest)}
<h2>Files</h2>
<ul>
${files.map((file) => html`<li>${fileLink(file)}</li>\n`)}</ul>`,
    footer: html`Made by ${manifest.made_by} from ${manifest.spec.path} (SHA-256 ${manifest.spec.sha256}).`,
  });
}

function verdict({ tests }: Manifest, reports: readonly BootReport[]): Markup {
  if (tests.length === 0) return html`<b>Not tested:</b> nobody has booted this image.`;
  const failed = tests.filter(({ passed }) => !passed);
  if (failed.length > 0) return html`<b>Boot test failed:</b> ${failed.map(({ stage }) => stage).join(", ")}.`;
  const boots = reports.reduce((sum, { result }) => sum + result.jobs.length, 0);
  return html`Boot test passed: ${boots} boot${boots === 1 ? "" : "s"}.`;
}

/** The name is one of ours, of a few characters; a dot before it keeps it from being taken for a scheme. */
const fileLink = (path: string): Markup => html`<a href="${`./${path.split("/").map(encodeURIComponent).join("/")}`}">${path}</a>`;

const size = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB (${bytes} bytes)`;

function checkLines(signature: Release["signature"]): string {
  const sums = "sha256sum --check --ignore-missing SHA256SUMS";
  if (signature === undefined) return sums;
  return signature.by === "minisign"
    ? `minisign -V -p PUBLIC-KEY -m SHA256SUMS\n${sums}`
    : `gpg --verify ${signature.file} SHA256SUMS\n${sums}`;
}

function reportSection({ stage, result }: BootReport): Markup {
  return html`<h2>Boots: ${stage}</h2>
<table>
<caption>${suiteSummary(result)}. ${fileLink(`${REPORT_FOLDER}/${stage}/results.html`)} tells more.</caption>
<thead><tr><th scope="col">Boot</th><th scope="col">Result</th><th scope="col">Stage reached</th></tr></thead>
<tbody>
${result.jobs.map((job) => {
  const run = job.runs.at(-1);
  const word = job.status === "passed" ? html`passed` : html`<b>${job.status.replace("_", " ")}</b>`;
  return html`<tr><th scope="row">${job.id}</th><td>${word}</td><td>${run?.stage ?? "–"}</td></tr>\n`;
})}</tbody>
</table>
`;
}

export const REPORT_FOLDER = "boot-report";

function figure({ boot, png }: Picture): Markup {
  const source = `data:image/png;base64,${Buffer.from(png).toString("base64")}`;
  return html`<figure><img src="${source}" alt="${`Screen of ${boot}`}"><figcaption>${boot}</figcaption></figure>\n`;
}

function packagesSection({ packages, unread_packages: unread }: Manifest): Markup | undefined {
  if (packages === null) return undefined;
  const note = unread.length === 0 ? undefined : html`<p class="note">Not read: the database of ${unread.join(", ")}.</p>`;
  return html`<h2>Packages</h2>
${note}<details><summary>${packages.length} packages and their licences</summary>
<table>
<thead><tr><th scope="col">Package</th><th scope="col">Version</th><th scope="col">Licences</th></tr></thead>
<tbody>
${packages.map((one) => html`<tr><th scope="row">${one.name}</th><td>${one.version}</td><td>${one.licences.join(", ") || "not known"}</td></tr>\n`)}</tbody>
</table>
</details>`;
}
