import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { escapeHtml, html, Markup } from "../../src/formats/escape-html.ts";

/** What a browser makes of text without tags: the character references that we write, turned back. */
const decoded = (text: string): string =>
  text.replace(/&(amp|lt|gt|quot|#39|#96);/g, (_, name: string) => {
    const character = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'", "#96": "`" }[name];
    if (character === undefined) throw new Error(name);
    return character;
  });

const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom("<script>", "</pre>", "]]>", "<!--", '"', "'", "`", "&", "&lt;", "&#60;", "\0", "\x1b[31m", "\u202e"),
      fc.string({ unit: "binary" }),
    ),
    {
      maxLength: 12,
    },
  )
  .map((parts) => parts.join(""));

describe("text in a page", () => {
  test("holds nothing that ends an element or an attribute, and no character that HTML forbids", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const escaped = escapeHtml(text);
        expect(escaped).not.toMatch(/[<>"'`]/);
        expect(escaped).not.toMatch(/[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]|\p{Surrogate}/u);
        expect(escaped.replace(/&(amp|lt|gt|quot|#39|#96);/g, "")).not.toContain("&");
      }),
    );
  });

  test("is read by a browser as it stood, where it holds no control characters", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(decoded(escapeHtml(text))).toBe(text);
      }),
    );
  });

  test.each([
    ["<b>&amp;</b>", "&lt;b&gt;&amp;amp;&lt;/b&gt;"],
    [`" onload='x' \``, "&quot; onload=&#39;x&#39; &#96;"],
    ["a\tb\nc", "a\tb\nc"],
    ["\0\x1b[0m\r\x9b", "\\x00\\x1b[0m\\x0d\\x9b"],
    ["txt.\u202egpj", "txt.\\u202egpj"],
    ["Ärger 🚀", "Ärger 🚀"],
  ])("%j is written as %s", (text, written) => {
    expect(escapeHtml(text)).toBe(written);
  });
});

describe("a template", () => {
  test("escapes what is put in, and takes markup as it is", () => {
    const inner = html`<b>${"<i>"}</b>`;
    expect(String(html`<p title="${'"'}">${inner}${7}${undefined}${[inner, undefined, html`<br>`]}</p>`)).toBe(
      '<p title="&quot;"><b>&lt;i&gt;</b>7<b>&lt;i&gt;</b><br></p>',
    );
  });

  test("does not take for markup what only looks like it", () => {
    const forged = { toString: () => "<script>" };
    // @ts-expect-error: the compiler refuses it as well
    expect(() => String(html`${forged}`)).toThrow();
    // @ts-expect-error: the constructor is private
    expect(() => html`${Object.create(Markup.prototype) as Markup}` && new Markup("<b>")).toThrow();
  });
});
