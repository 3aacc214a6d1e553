/**
 * Kernel arguments by which an initramfs finds the medium and its root image, for each initramfs that can be on one:
 *
 *   own        hiperiso.medium=, hiperiso.image=, hiperiso.verity=   docs/live-media.md
 *   live-boot  boot=live, live-media-path=                           live-boot(7)
 *   dracut     root=live:UUID=, rd.live.dir=, rd.live.squashimg=     dracut.cmdline(7), "Booting live images"
 *
 * Two media in one computer must not be taken for each other, so each is looked for by what no other has: a file or folder with its id
 * in the name, or the volume's UUID.
 */

export type LiveInit = "own" | "live-boot" | "dracut" | "none";

export interface LiveMedium {
  readonly init: LiveInit;
  /** 16 hexadecimal digits that no other medium has. */
  readonly id: string;
  /** As the kernel's /dev/disk/by-uuid knows the file system. */
  readonly uuid: string;
  /** Name of the root image in /live. */
  readonly image: string;
  /** Root hash of the image's hash tree; undefined: it has none. */
  readonly verity: string | undefined;
}

/** Of this medium only, from its root. */
export const markerPath = (id: string): string => `/.disk/hiperiso-${id}`;
export const IMAGE_FOLDER = "/live";
/** live-boot looks for a folder, so the image has a second name in one of its own. */
export const ownImageFolder = (id: string): string => `${IMAGE_FOLDER}-${id}`;

export function liveWords({ init, id, uuid, image, verity }: LiveMedium): readonly string[] {
  switch (init) {
    case "own":
      return [
        `hiperiso.medium=${markerPath(id)}`,
        ...(image === "root.squashfs" ? [] : [`hiperiso.image=${IMAGE_FOLDER}/${image}`]),
        ...(verity === undefined ? [] : [`hiperiso.verity=${verity}`]),
      ];
    case "live-boot":
      return ["boot=live", "components", `live-media-path=${ownImageFolder(id)}`];
    case "dracut":
      return [
        `root=live:UUID=${uuid}`,
        `rd.live.dir=${IMAGE_FOLDER}`,
        `rd.live.squashimg=${image}`,
        "rd.live.image",
        "rd.live.overlay.overlayfs=1",
      ];
    case "none":
      return [];
  }
}

const MODES = {
  toram: { own: ["toram"], "live-boot": ["toram"], dracut: ["rd.live.ram=1"], none: [] },
  persistence: { own: ["persistence"], "live-boot": ["persistence"], dracut: ["rd.live.overlay=LABEL=persistence"], none: [] },
} as const;

export const modeWords = ({ init }: Pick<LiveMedium, "init">, mode: keyof typeof MODES): readonly string[] => MODES[mode][init];

/** Name of the argument that tells where on another medium our image lies as a file; its value is the path there. */
export function imageFileArgument(init: LiveInit): string | undefined {
  return { own: "iso-scan/filename", "live-boot": "findiso", dracut: "iso-scan/filename", none: undefined }[init];
}

/** For a boot over the network: `url` of the root image. */
export function fetchWords(init: LiveInit, url: string): readonly string[] {
  switch (init) {
    case "own":
      return [`hiperiso.fetch=${url}`];
    case "live-boot":
      return ["boot=live", "components", `fetch=${url}`];
    case "dracut":
      return [`root=live:${url}`, "rd.neednet=1", "ip=dhcp", "rd.live.image", "rd.live.overlay.overlayfs=1"];
    case "none":
      return [];
  }
}
