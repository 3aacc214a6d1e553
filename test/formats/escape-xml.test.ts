import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { escapeXml, escapeXmlAttribute } from "../../src/formats/escape-xml.ts";

const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        "<a>",
        "</a>",
        "]]>",
        "<!--",
        "<![CDATA[",
        "<?",
        '"',
        "'",
        "&",
        "&lt;",
        "&#0;",
        "\0",
        "\x1b[31m",
        "\u202e",
        "\ufffe",
        "\uffff",
        "\ud800",
        "\r\n",
        "\n",
        "\t",
      ),
      fc.string({ unit: "binary" }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(""));

describe("text in XML", () => {
  test("holds nothing that ends an element or an attribute, and no character that XML forbids", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        expect(escapeXml(text)).toMatch(/^(?:[^<>&"'\0-\x08\x0b-\x1f\ufffe\uffff]|&(?:amp|lt|gt|quot|#39);)*$/);
        expect(escapeXml(text)).not.toMatch(/\p{Surrogate}/u);
        expect(escapeXmlAttribute(text)).not.toMatch(/[\t\n<>"']/);
      }),
    );
  });

  const python = spawnSync("python3", ["-c", "import xml.etree.ElementTree"]).status === 0;
  test.runIf(python)("is read by a foreign reader as it stood, where a terminal would take it as it stands", () => {
    const texts = [...fc.sample(fc.string({ unit: "grapheme" }), 200), "a\tb\nc", "<&>\"'", "]]>", "größer €"].filter(
      (text) => !/[\0-\x08\x0b-\x1f\x7f-\x9f]|\p{Cf}|\p{Zl}|\p{Zp}/u.test(text),
    );
    const document = `<all>${texts.map((text) => `<one a="${escapeXmlAttribute(text)}">${escapeXml(text)}</one>`).join("")}</all>`;
    const program =
      "import sys, json, xml.etree.ElementTree as e\nprint(json.dumps([[c.get('a'), c.text or ''] for c in e.fromstring(sys.stdin.buffer.read())]))";
    const { stdout, stderr } = spawnSync("python3", ["-c", program], { input: document, encoding: "utf8" });
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual(texts.map((text) => [text, text]));
  });
});
