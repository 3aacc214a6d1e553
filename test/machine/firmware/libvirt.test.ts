import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkNvram, decodeNvram, libvirtBlock, libvirtPlaces } from "../../../src/machine/firmware/libvirt.ts";
import { firmwarePairs, pairsByCode } from "../../../src/machine/firmware/pairs.ts";
import { DEBIAN_FILES, stockOf } from "./stocks.ts";

describe("the block for qemu.conf", () => {
  test("names each code once, since libvirt takes the first entry that has it", () => {
    const { text, leftOut } = libvirtBlock(pairsByCode(stockOf(DEBIAN_FILES)));
    expect(leftOut).toEqual([]);
    expect(text).toBe(`nvram = [
    "/usr/share/OVMF/OVMF_CODE.fd:/usr/share/OVMF/OVMF_VARS.fd",
    "/usr/share/OVMF/OVMF_CODE_4M.fd:/usr/share/OVMF/OVMF_VARS_4M.fd",
    "/usr/share/OVMF/OVMF_CODE_4M.ms.fd:/usr/share/OVMF/OVMF_VARS_4M.ms.fd",
    "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd:/usr/share/OVMF/OVMF_VARS_4M.fd"
]
`);
  });

  test("what its form cannot say is left out with the reason", () => {
    const files = { "/a:b/code": "plain4m", "/vars": "empty4m", '/"/vars': "empty4m" } as const;
    const { text, leftOut } = libvirtBlock(firmwarePairs(stockOf(files)));
    expect(text).toBe("");
    expect(leftOut.map(({ because }) => because)).toEqual(expect.arrayContaining(["its form cannot say the path /a:b/code"]));
    const qcow2 = firmwarePairs(stockOf({ "/code": { kind: "plain4m", format: "qcow2" }, "/vars": { kind: "empty4m", format: "qcow2" } }));
    expect(libvirtBlock(qcow2).leftOut).toMatchObject([{ because: "it takes raw files, not qcow2" }]);
  });

  test("is read back as it was written", () => {
    const pairs = pairsByCode(stockOf(DEBIAN_FILES));
    expect(decodeNvram(libvirtBlock(pairs).text).map(({ code, variables }) => [code, variables])).toEqual(
      pairs.map(({ code, variables }) => [code.path, variables.path]),
    );
  });

  test("stands in qemu.conf, for a session too", () => {
    expect(libvirtPlaces({ HOME: "/home/ada" })).toEqual({
      system: "/etc/libvirt/qemu.conf",
      session: "/home/ada/.config/libvirt/qemu.conf",
      mistaken: "/home/ada/.config/libvirt/qemu.config",
    });
  });
});

describe("a qemu.conf that is there", () => {
  const text = `# nvram = [ "/comment:/comment" ]
user = "root"
nvram = [ "/a:/b", # the first "/c:/d"
   "/usr/share/OVMF/OVMF_CODE_4M.fd:/usr/share/OVMF/OVMF_VARS_4M.fd"
   ]
other = [ "/e:/f" ]
`;
  test("is read with line numbers, without comments and other lists", () => {
    expect(decodeNvram(text)).toEqual([
      { line: 3, code: "/a", variables: "/b" },
      { line: 4, code: "/usr/share/OVMF/OVMF_CODE_4M.fd", variables: "/usr/share/OVMF/OVMF_VARS_4M.fd" },
    ]);
    expect(decodeNvram('nvram=["/a:/b"]\nnvram = [\n"/c"\n]')).toEqual([{ line: 3, code: "/c", variables: undefined }]);
  });

  test("entries whose files are missing, swapped or of two builds are told by line", () => {
    const stock = stockOf({ ...DEBIAN_FILES, "/gone": "missing" });
    const [code, vars, small] = ["CODE_4M", "VARS_4M", "VARS"].map((name) => `/usr/share/OVMF/OVMF_${name}.fd`);
    const conf = `nvram = [\n"${code}:${vars}",\n"/gone:${vars}",\n"${vars}:${vars}",\n"${code}:${code}",\n"${code}:${small}",\n"${code}",\n"x:y" ]`;
    expect(checkNvram(decodeNvram(conf), stock).map(({ line, text: why }) => `${line}: ${why.slice(0, 30)}`)).toEqual([
      "3: /gone: there is no such file",
      `4: ${`${vars} is no firmware code`.slice(0, 30)}`,
      `5: ${`${code} keeps no variables`.slice(0, 30)}`,
      "6: its halves are of different bu",
      "7: an entry is CODE:VARS, not /us",
      "8: a path that is relative: x:y",
    ]);
  });

  test("no text is an error", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^(nvram ?= ?\[|"[a:/]*"|#|\]|,|\n| )*$/)), (any) => {
        expect(Array.isArray(decodeNvram(any))).toBe(true);
      }),
    );
  });
});
