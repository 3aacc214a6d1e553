/** The frame of every page that hiperiso writes: it needs nothing but a browser, loads nothing, and runs nothing. */
import { html, type Markup } from "../formats/escape-html.ts";
import { STYLE } from "./report-html-style.ts";

export interface HtmlDocument {
  readonly title: string;
  /** Pictures may stand in the page itself (`data:`). */
  readonly pictures: boolean;
  readonly header: Markup;
  readonly main: Markup;
  readonly footer: Markup;
}

/** The policy forbids all that the page does not need, should a text ever get through as markup. */
export function htmlDocument({ title, pictures, header, main, footer }: HtmlDocument): string {
  const images = pictures ? html`img-src data:; ` : undefined;
  return `${html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; ${images}style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
${header}
</header>
<main>
${main}
</main>
<footer>${footer}</footer>
</body>
</html>
`}`;
}
