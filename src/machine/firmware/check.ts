/** What is wrong with firmware descriptors: files that do not exist, halves that do not go together, claims that the files deny. Pure. */
import { isAbsolute } from "node:path";
import { flashSizesMatch } from "../../formats/firmware-volume.ts";
import type { FirmwareDescriptor } from "../../host/firmware.ts";
import type { FirmwareFile, FirmwareStock, PresentFirmware } from "./stock.ts";

/** Words that programs may rely on. */
export type FirmwareProblemId =
  | "broken"
  | "path-relative"
  | "file-missing"
  | "file-unreadable"
  | "no-template"
  | "no-code"
  | "no-variables"
  | "format-differs"
  | "sizes-differ"
  | "architecture-differs"
  | "smm-unsaid"
  | "smm-machine"
  | "keys-missing"
  | "keys-unsaid";

export interface FirmwareProblem {
  readonly id: FirmwareProblemId;
  /** `error`: a guest with this firmware does not start, or not as promised. `warning`: for some guests. */
  readonly severity: "error" | "warning";
  /** Of the file that it is about, as the descriptor writes it. */
  readonly file: string | undefined;
  /** For a person, without a full stop. Not escaped. */
  readonly text: string;
}

type Facts = Exclude<FirmwareDescriptor["content"], { readonly broken: string }>["facts"];
type Role = "executable" | "nvram-template" | "filename";

/** `stock` knows every file that the descriptor names. */
export function checkDescriptor({ content }: FirmwareDescriptor, stock: FirmwareStock): readonly FirmwareProblem[] {
  if ("broken" in content) return [{ id: "broken", severity: "error", file: undefined, text: content.broken }];
  const { facts } = content;
  const { mapping } = facts;
  if (mapping.device !== "flash") return checkMemory(mapping.filename, mapping.device, facts, stock);
  const { executable, "nvram-template": template, mode } = mapping;
  const problems = [...checkFile("executable", executable, stock)];
  const code = presentAt(executable.filename, stock);
  if (code !== undefined) problems.push(...checkCode(code, mode, facts));
  if (mode !== "split") return problems;
  if (template === undefined) {
    problems.push({
      id: "no-template",
      severity: "error",
      file: undefined,
      text: "it names no template for its variables (nvram-template)",
    });
    return problems;
  }
  problems.push(...checkFile("nvram-template", template, stock));
  const variables = presentAt(template.filename, stock);
  if (variables === undefined) return problems;
  problems.push(...checkTemplate(variables, facts));
  if (code?.image.kind === "code" && variables.image.kind === "variables") problems.push(...checkSizes(code, variables));
  return problems;
}

const presentAt = (path: string, stock: FirmwareStock): PresentFirmware | undefined => {
  const file = stock.get(path);
  return file?.state === "present" ? file : undefined;
};

function checkFile(
  role: Role,
  { filename, format }: { readonly filename: string; readonly format?: string },
  stock: FirmwareStock,
): readonly FirmwareProblem[] {
  const problem = (id: FirmwareProblemId, text: string): readonly FirmwareProblem[] => [{ id, severity: "error", file: filename, text }];
  if (!isAbsolute(filename)) return problem("path-relative", `its ${role} is a relative path: ${filename}`);
  const file: FirmwareFile | undefined = stock.get(filename);
  if (file === undefined || file.state === "missing") return problem("file-missing", `its ${role} does not exist: ${filename}`);
  if (file.state !== "present") return problem("file-unreadable", `its ${role} cannot be read: ${filename}: ${file.because}`);
  if (format !== undefined && format !== file.format) {
    return problem("format-differs", `its ${role} is called ${format} and is ${file.format}: ${filename}`);
  }
  return [];
}

/** `-bios`, or loaded like a kernel: whatever the file is, it has to be there. */
function checkMemory(filename: string, device: "memory" | "kernel", facts: Facts, stock: FirmwareStock): readonly FirmwareProblem[] {
  const problems = [...checkFile("filename", { filename }, stock)];
  const file = presentAt(filename, stock);
  if (device === "memory" && file !== undefined && facts["interface-types"].includes("uefi")) {
    if (file.image.kind === "variables" || file.image.kind === "none") {
      const found = file.image.kind === "none" ? file.image.because : "it keeps variables and holds no code";
      problems.push({ id: "no-code", severity: "error", file: filename, text: `its filename is no UEFI firmware: ${filename}: ${found}` });
    } else problems.push(...checkModules(file, facts));
  }
  return problems;
}

function checkCode(code: PresentFirmware, mode: "split" | "combined" | "stateless", facts: Facts): readonly FirmwareProblem[] {
  const { image, path } = code;
  const wanted = mode === "combined" ? ["combined"] : mode === "stateless" ? ["code", "combined"] : ["code"];
  if (wanted.includes(image.kind)) return checkModules(code, facts);
  const found = {
    none: image.kind === "none" ? image.because : "",
    variables: "it keeps variables and holds no code",
    combined: "it holds variables too",
    code: "it holds no variables",
  }[image.kind];
  return [{ id: "no-code", severity: "error", file: path, text: `its executable is no code for mode ${mode}: ${path}: ${found}` }];
}

function checkModules({ image, path }: PresentFirmware, { features, targets }: Facts): readonly FirmwareProblem[] {
  const modules = image.kind === "code" || image.kind === "combined" ? image.code.modules : undefined;
  if (modules === undefined) return [];
  const problems: FirmwareProblem[] = [];
  const architectures = targets.map(({ architecture }) => architecture);
  const { architecture, smm } = modules;
  // i386 guests run on both of a PC's QEMUs, and a descriptor may say either.
  if (
    architecture !== undefined &&
    !architectures.includes(architecture) &&
    !(architecture === "i386" && architectures.includes("x86_64"))
  ) {
    const text = `it is said to be for ${architectures.join(", ") || "nothing"}, and its code is for ${architecture}: ${path}`;
    problems.push({ id: "architecture-differs", severity: "error", file: path, text });
  }
  if (smm && !features.includes("requires-smm")) {
    const text = `its code needs SMM and it does not say so (requires-smm): without SMM it hangs and prints nothing: ${path}`;
    problems.push({ id: "smm-unsaid", severity: "error", file: path, text });
  }
  const withoutSmm = targets.flatMap(({ machines }) => machines).filter((machine) => /^(?:pc-i440fx|microvm|isapc)/.test(machine));
  if (smm && withoutSmm.length > 0) {
    const text = `its code needs SMM, which these machines have not: ${withoutSmm.join(", ")}`;
    problems.push({ id: "smm-machine", severity: "warning", file: path, text });
  }
  return problems;
}

function checkTemplate({ image, path }: PresentFirmware, { features }: Facts): readonly FirmwareProblem[] {
  const says = features.includes("enrolled-keys");
  if (image.kind !== "variables") {
    const found = image.kind === "none" ? image.because : "it holds code";
    return [{ id: "no-variables", severity: "error", file: path, text: `its nvram-template keeps no variables: ${path}: ${found}` }];
  }
  const { platformKey } = image.variables;
  if (says && !platformKey) {
    const text = `it promises enrolled keys, and none is in its nvram-template: ${path}: Secure Boot stays off`;
    return [{ id: "keys-missing", severity: "error", file: path, text }];
  }
  if (!says && platformKey) {
    const text = `it does not say that keys are enrolled, and they are in its nvram-template: ${path}: what is not signed does not boot`;
    return [{ id: "keys-unsaid", severity: "warning", file: path, text }];
  }
  return [];
}

function checkSizes(code: PresentFirmware, variables: PresentFirmware): readonly FirmwareProblem[] {
  if (flashSizesMatch(code.image.sizeBytes, variables.image.sizeBytes)) return [];
  const sizes = `${code.image.sizeBytes} and ${variables.image.sizeBytes} bytes`;
  const text = `its code and its variables are of different builds: ${sizes} do not make one flash; together they hang and print nothing`;
  return [{ id: "sizes-differ", severity: "error", file: variables.path, text }];
}
