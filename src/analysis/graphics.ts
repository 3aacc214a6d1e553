import type { StageMark } from "./rule.ts";

/** A line that names a graphics driver or a resolution: groups `driver` and `resolution`, or `columns` and `rows` of 8x16 letters. */
export type GraphicsMark = Pick<StageMark, "id" | "pattern" | "matches" | "ignores">;

export const GRAPHICS_MARKS: readonly GraphicsMark[] = [
  {
    id: "graphics/drm",
    pattern: /^\[drm\] Initialized (?<driver>[\w-]{1,40}) \d/,
    matches: ["[drm] Initialized bochs-drm 1.0.0 20130925 for 0000:00:01.0 on minor 0"],
    ignores: ["[drm] radeon kernel modesetting enabled."],
  },
  {
    id: "graphics/frame-buffer",
    pattern:
      /^(?<driver>efifb|vesafb|simplefb|uvesafb|vga16fb|hyperv_fb|xenfb): (?:mode is (?<resolution>\d{3,5}x\d{3,5})|framebuffer at |probing for |initializing)/,
    matches: [
      "efifb: mode is 1024x768x32, linelength=4096, pages=1",
      "vesafb: framebuffer at 0xfd000000, mapped to 0x0, using 3072k, total 16384k",
    ],
    ignores: ["efifb: scrolling: redraw"],
  },
  {
    id: "graphics/simple-frame-buffer",
    pattern: /^(?<driver>simple-framebuffer) \S{1,60}: .{0,60}mode=(?<resolution>\d{3,5}x\d{3,5})/,
    matches: ["simple-framebuffer simple-framebuffer.0: format=a8r8g8b8, mode=1024x768x32, linelength=4096"],
    ignores: ["simple-framebuffer simple-framebuffer.0: fb0: simplefb registered!"],
  },
  {
    id: "graphics/frame-buffer-device",
    pattern:
      /^fb0: (?<driver>[\w-]{1,30}?)(?:drmfb|fb)? frame buffer device|^fbcon: (?<console>[\w-]{1,30}?)(?:drmfb|fb)? \(fb0\) is primary device/,
    matches: ["fb0: vesafb frame buffer device", "fbcon: bochsdrmfb (fb0) is primary device"],
    ignores: ["Console: colour VGA+ 80x25"],
  },
  {
    id: "graphics/console",
    pattern: /^Console: switching to (?:colour|mono) frame buffer device (?<columns>\d{2,4})x(?<rows>\d{2,4})/,
    matches: ["Console: switching to colour frame buffer device 128x48"],
    ignores: ["Console: colour dummy device 80x25"],
  },
  {
    id: "graphics/xorg",
    pattern:
      /^\(II\) (?<driver>[\w-]{1,30})\(0\): (?:Output \S{1,30} using initial mode (?<resolution>\d{3,5}x\d{3,5})|Creating default Display subsection)/,
    matches: ["(II) modeset(0): Output Virtual-1 using initial mode 1280x800 +0+0"],
    ignores: ['(II) LoadModule: "modesetting"'],
  },
];

export interface Graphics {
  readonly drivers: readonly string[];
  /** As a driver named it: `1024x768`, or empty. */
  readonly resolution: string;
  /** What the letters of the console fill, which may be a little less; or empty. */
  readonly consoleArea: string;
}

/** Gathers what marks found, in the order in which it was seen. */
export class GraphicsNotes {
  readonly #drivers = new Set<string>();
  #resolution = "";
  #consoleArea = "";

  note({ groups = {} }: RegExpExecArray): void {
    const driver = groups["driver"] ?? groups["console"];
    if (driver !== undefined) this.#drivers.add(driver);
    const { resolution, columns, rows } = groups;
    if (resolution !== undefined) this.#resolution = resolution;
    else if (columns !== undefined && rows !== undefined) this.#consoleArea = `${Number(columns) * 8}x${Number(rows) * 16}`;
  }

  get graphics(): Graphics {
    return { drivers: [...this.#drivers], resolution: this.#resolution, consoleArea: this.#consoleArea };
  }
}
