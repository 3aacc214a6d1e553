/** Reads a page as strictly as it is meant to be written: every tag closed in order, attributes quoted, nothing but what is allowed. */

export interface Element {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly (Element | string)[];
}

interface OpenElement extends Element {
  readonly children: (Element | string)[];
}

/** HTML's elements without an end tag; those of SVG end with `/>`. */
const VOID = new Set(["meta", "img", "br"]);
const REFERENCES = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["#39", "'"],
  ["#96", "`"],
]);

/** The `html` element. Throws at the first byte that is not of the strict form. */
export function readPage(page: string): Element {
  const doctype = "<!DOCTYPE html>\n";
  if (!page.startsWith(doctype)) throw new Error("no doctype");
  const root: OpenElement = {
    name: "",
    attributes: new Map(),
    children: [],
  };
  const open = [root];
  // A tag, or text without any character that could begin or end one. A style sheet is raw text up to its end tag.
  const token = /<(\/?)([a-zA-Z][a-zA-Z0-9]*)((?: [a-zA-Z][a-zA-Z0-9-]*(?:="[^"<>]*")?)*)(\/?)>|([^<>]+)/y;
  token.lastIndex = doctype.length;
  while (token.lastIndex < page.length) {
    const at = token.lastIndex;
    const match = token.exec(page);
    if (match === null) throw new Error(`no markup at ${at}: ${JSON.stringify(page.slice(at, at + 60))}`);
    const [, closing, name = "", attributes = "", selfClosing, text] = match;
    const parent = open.at(-1)!;
    if (text !== undefined) parent.children.push(decoded(text));
    else if (closing === "/") {
      if (parent.name !== name) throw new Error(`</${name}> closes <${parent.name}> at ${at}`);
      open.pop();
    } else {
      const element: OpenElement = { name, attributes: attributesOf(attributes), children: [] };
      parent.children.push(element);
      if (name === "style") {
        const end = page.indexOf("</style>", token.lastIndex);
        element.children.push(page.slice(token.lastIndex, end));
        token.lastIndex = end + "</style>".length;
      } else if (!VOID.has(name) && selfClosing !== "/") open.push(element);
    }
  }
  if (open.length !== 1) throw new Error(`<${open.at(-1)!.name}> is not closed`);
  const elements = root.children.filter((child) => typeof child !== "string");
  if (elements.length !== 1) throw new Error("more than one root");
  return elements[0]!;
}

function attributesOf(text: string): Map<string, string> {
  const attributes = new Map<string, string>();
  for (const [, name, value] of text.matchAll(/ ([a-zA-Z][a-zA-Z0-9-]*)(?:="([^"]*)")?/g)) {
    if (attributes.has(name!)) throw new Error(`${name} stands twice`);
    attributes.set(name!, decoded(value ?? ""));
  }
  return attributes;
}

function decoded(text: string): string {
  return text.replace(/&([^;&]*);?/g, (whole, name: string) => {
    const character = REFERENCES.get(name);
    if (character === undefined || !whole.endsWith(";")) throw new Error(`an ampersand that is none of ours: ${text.slice(0, 60)}`);
    return character;
  });
}

export function* elementsOf(element: Element): Iterable<Element> {
  yield element;
  for (const child of element.children) if (typeof child !== "string") yield* elementsOf(child);
}

export const find = (root: Element, test: (element: Element) => boolean): readonly Element[] => [...elementsOf(root)].filter(test);

export const byId = (root: Element, id: string): Element | undefined => find(root, ({ attributes }) => attributes.get("id") === id)[0];

export const textOf = (element: Element): string =>
  element.children.map((child) => (typeof child === "string" ? child : textOf(child))).join("");
