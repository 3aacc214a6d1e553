/** The graph of a spec as text and as DOT. `draw-svg.ts` draws it. Pure. */

export interface DrawnStage {
  readonly name: string;
  readonly kind: string;
  /** Stage that each named input comes from. */
  readonly inputs: Readonly<Record<string, string>>;
  /** A word or two behind it: what would become of it now. */
  readonly note?: string | undefined;
}

export interface DrawnGraph {
  /** Each behind its inputs. */
  readonly stages: readonly DrawnStage[];
  /** Stages whose outputs are wanted, and the file that is. */
  readonly targets: readonly { readonly stage: string; readonly file?: string | undefined }[];
}

/** A tree from each target down to what nothing comes before. What stands further up already is named there only. */
export function drawText({ stages, targets }: DrawnGraph): string {
  const byName = new Map(stages.map((stage) => [stage.name, stage]));
  const shown = new Set<string>();
  const lines: string[] = [];
  const draw = (name: string, before: string, heads: readonly [first: string, rest: string], file?: string): void => {
    const stage = byName.get(name);
    if (stage === undefined) return;
    const isShown = shown.has(name);
    const inputs = isShown ? [] : Object.entries(stage.inputs);
    const behind = [
      file === undefined ? "" : ` → ${file}`,
      isShown && Object.keys(stage.inputs).length > 0 ? ", as above" : "",
      noteOf(stage),
    ];
    lines.push(`${heads[0]}${before}${named(stage)}${behind.join("")}`);
    shown.add(name);
    for (const [index, [input, from]] of inputs.entries()) {
      const isLast = index === inputs.length - 1;
      const below: readonly [string, string] = [`${heads[1]}${isLast ? "└─ " : "├─ "}`, `${heads[1]}${isLast ? "   " : "│  "}`];
      draw(from, input === from ? "" : `${input}: `, below);
    }
  };
  for (const { stage, file } of targets) if (!shown.has(stage)) draw(stage, "", ["", ""], file);
  const left = stages.filter(({ name }) => !shown.has(name));
  if (left.length > 0) lines.push("", `Not needed: ${left.map(named).join(", ")}`);
  return `${lines.join("\n")}\n`;
}

const named = ({ name, kind }: DrawnStage): string => (name === kind ? name : `${name} (${kind})`);
const noteOf = ({ note }: DrawnStage): string => (note === undefined ? "" : `  [${note}]`);

/** For Graphviz: The DOT Language, quoted strings, in which `"` and `\` are escaped. */
export function drawDot({ stages, targets }: DrawnGraph, title: string): string {
  const wanted = new Set(targets.map(({ stage }) => stage));
  const boxes = stages.map((stage) => {
    const label = [stage.name, stage.kind, ...(stage.note === undefined ? [] : [stage.note])].map(dotText).join("\\n");
    return `  ${quoted(stage.name)} [label="${label}"${wanted.has(stage.name) ? ", penwidth=2" : ""}];`;
  });
  const arrows = stages.flatMap(({ name, inputs }) =>
    Object.entries(inputs).map(([input, from]) => `  ${quoted(from)} -> ${quoted(name)} [label=${quoted(input)}];`),
  );
  const head = [
    `digraph ${quoted(title)} {`,
    "  rankdir=LR;",
    "  node [shape=box, style=rounded, fontname=sans];",
    "  edge [fontname=sans, fontsize=10];",
  ];
  return `${[...head, ...boxes, ...arrows, "}"].join("\n")}\n`;
}

const dotText = (text: string): string => text.replace(/["\\]/g, "\\$&").replaceAll("\n", " ");
const quoted = (text: string): string => `"${dotText(text)}"`;
