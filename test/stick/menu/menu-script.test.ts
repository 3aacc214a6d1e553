/** The menu as GRUB's script: its words mean what was meant, to GRUB's own checker and to our reader of such scripts. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type MenuFacts, stickMenu } from "../../../src/stick/menu-maker.ts";

const folder = mkdtempSync(join(tmpdir(), "hiperiso-menu-"));
afterAll(() => rmSync(folder, { recursive: true }));

const GUID = "6B6A41AF-0000-4000-8000-000000000001";

function menuOf(paths: readonly string[], config: unknown = {}, more: Partial<MenuFacts> = {}): Readonly<Record<string, string>> {
  const facts: MenuFacts = {
    diskGuid: GUID,
    images: paths.map((path) => ({ path, sizeBytes: 1n, modifiedMs: 0 })),
    configBytes: Buffer.from(typeof config === "string" ? config : JSON.stringify(config)),
    goodConfig: undefined,
    theme: [],
    ...more,
  };
  return Object.fromEntries(stickMenu(facts).map(({ path, from }) => [path, new TextDecoder().decode(from as Uint8Array)]));
}

/** Complaints of GRUB's own parser. */
function checked(text: string): string {
  const file = join(folder, "checked.cfg");
  writeFileSync(file, text);
  try {
    execFileSync("grub-script-check", [file], { stdio: "pipe" });
    return "";
  } catch (error) {
    return String((error as { stderr?: unknown }).stderr);
  }
}

const TRAPS = [
  "/ISOs/a b.iso",
  "/ISOs/it's.iso",
  "/ISOs/$x ${y} `z`.iso",
  "/ISOs/[b] {c} (d); e & f.iso",
  "/ISOs/Übergröße – 漢字.iso",
  "/ISOs/deep/er/x.iso",
];

describe("the menu's script", () => {
  it("is one to GRUB's own checker", () => {
    const files = menuOf(TRAPS, {
      control: { menu_password: "a'b", image_passwords: [{ iso: "*b.iso", password: "x" }], image_folders: ["/ISOs", "/"] },
      menu_alias: [{ iso: "*b.iso", alias: "A 'b' $c" }],
      menu_tip: [{ iso: "*", tip: "tip" }],
    });
    for (const path of ["/EFI/BOOT/grub.cfg", "/EFI/hiperiso/grub/menu.cfg", "/EFI/debian/grub.cfg"])
      expect(checked(files[path]!), path).toBe("");
  });
});
