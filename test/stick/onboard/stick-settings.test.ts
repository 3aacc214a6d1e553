import { expect, test } from "vitest";
import { parseConfig } from "../../../src/config/hiperiso-json.ts";
import { stickSettings } from "../../../src/stick/onboard/stick-settings.ts";

const places = { data: "/mnt/usb", esp: "/mnt/efi", run: "/run/hiperiso" };
const { config } = parseConfig(
  '{ "control": { "default_ram": 1500, "default_cpus": 3 }, "iso_overrides": { "debian*.iso": { "ram": 900, "persistence": "/p/d.dat", "log_dir": "/logs" } } }',
  "hiperiso.json",
);
const ask = (over: Partial<Parameters<typeof stickSettings>[0]>) =>
  stickSettings({ image: "/ISOs/debian.iso", said: {}, config, places, totalRamMb: 8000, ...over });

test("the menu's word before the image's, that before control, and paths below the mount", () => {
  const { settings } = ask({ said: { guestCpus: 1 } });
  expect(settings).toMatchObject({
    guestCpus: 1,
    guestRam: 900,
    iso: "/mnt/usb/ISOs/debian.iso",
    logDir: "/mnt/usb/logs",
    persistence: "/mnt/usb/p/d.dat",
  });
  expect(ask({ image: "/ISOs/other.iso" }).settings).toMatchObject({ guestCpus: 3, guestRam: 1500, logDir: "/mnt/usb/hiperiso/logs" });
});

test("a window, which has no room on the stick, becomes the picture in text, and is told", () => {
  const { settings, warnings } = ask({ said: { display: "gtk" } });
  expect(settings.display).toBe("none");
  expect(warnings.join()).toMatch(/display=gtk.*no room.*picture of text/);
  expect(ask({ said: { display: "vnc" } }).settings.display).toBe("vnc");
});

test("a guest gets no more memory than the computer can give; one of which nothing would be left is refused elsewhere", () => {
  expect(ask({ said: { guestRam: 2048 }, totalRamMb: 2000 })).toMatchObject({ settings: { guestRam: 1360 } });
  expect(ask({ said: { guestRam: 2048 }, totalRamMb: 2000 }).warnings.join()).toMatch(/guest_ram=2048.*2000 MB.*1360 MB/);
  expect(ask({ said: { guestRam: 2048 }, totalRamMb: 700 }).settings.guestRam).toBe(2048);
  expect(ask({ said: { guestRam: 2048 }, totalRamMb: 0 })).toMatchObject({ settings: { guestRam: 2048 } });
});
