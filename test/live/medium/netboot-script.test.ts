import { describe, expect, test } from "vitest";
import { BASE_URL, ipxeScript } from "../../../src/live/medium/netboot-script.ts";

const PLAN = {
  title: `A \`system\`; \${x}`,
  words: [`hiperiso.fetch=${BASE_URL}root.squashfs`, "quiet"],
  initrd: "initrd.img",
  url: undefined,
};

describe("boot.ipxe", () => {
  test("fetches all from the folder that it came from itself, and says so where iPXE does not tell", () => {
    expect(ipxeScript(PLAN)).toBe(`#!ipxe
echo A  system     x 
set base \${cwduri}
isset \${base} || goto unknown
kernel \${base}vmlinuz initrd=initrd.img hiperiso.fetch=\${base}root.squashfs quiet
initrd \${base}initrd.img
boot
:unknown
echo This iPXE does not tell where it fetched this script from. Give the folder on the server as url in the netboot stage.
exit 1
`);
  });

  test("or from a folder that is named", () => {
    const text = ipxeScript({ ...PLAN, url: "http://server/live", initrd: undefined });
    expect(text).toContain(`set base http://server/live/\nkernel ${BASE_URL}vmlinuz hiperiso.fetch=`);
    expect(text).not.toMatch(/initrd|unknown/);
  });

  test("takes no variable of iPXE's from an argument", () => {
    expect(() => ipxeScript({ ...PLAN, words: [`a=\${net0/mac}`] })).toThrow(/which iPXE takes for a variable/);
  });
});
