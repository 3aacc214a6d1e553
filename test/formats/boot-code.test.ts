import { expect, test } from "vitest";
import { recogniseBootCode } from "../../src/formats/boot-code.ts";
import { padded, text } from "../image/build-image.ts";

test.each([
  ["GRUB \0Geom\0Hard Disk\0Read\0 Error", { kind: "loader", loader: "GRUB 2" }],
  ["\xfaISOLINUX 6.04 20200816 Copyright", { kind: "loader", loader: "ISOLINUX 6.04" }],
  ["isolinux.bin missing or corrupt.\r\nOperating system load error.", { kind: "loader", loader: "ISOLINUX (isohybrid)" }],
  ["3\xc0Missing operating system.\r\n", { kind: "next", loader: null }],
  ["3\xc0BOOTMGR is missing", { kind: "loader", loader: "Windows" }],
  ["This is not a bootable disk.  Please insert a bootable floppy", { kind: "idle", loader: null }],
  ["\xfa\xfc who knows", { kind: "loader", loader: null }],
])("%j", (code, expected) => {
  expect(recogniseBootCode(padded(text(code), 440))).toEqual(expected);
});

test("zeros are none, also behind the parameters of a file system", () => {
  expect(recogniseBootCode(new Uint8Array(440))).toEqual({ kind: "none", loader: null });
  expect(recogniseBootCode(new Uint8Array())).toEqual({ kind: "none", loader: null });
  const exfat = new Uint8Array(440);
  exfat.set([0xeb, 0x76, 0x90]);
  exfat.set(text("EXFAT   "), 3);
  exfat.fill(7, 64, 0x78);
  expect(recogniseBootCode(exfat).kind).toBe("none");
  exfat[0x78] = 0xf4;
  expect(recogniseBootCode(exfat).kind).toBe("loader");
});
