/** The keys of catalyst's specs for `livecd-stage1` and `livecd-stage2`, and what becomes of each here (catalyst: base/stagebase.py, targets/livecd_stage{1,2}.py). */

export const CATALYST_TARGETS = ["livecd-stage1", "livecd-stage2"] as const;
export type CatalystTarget = (typeof CATALYST_TARGETS)[number];

export interface SpecKey {
  readonly key: string;
  /** Undefined: of both. */
  readonly target?: CatalystTarget;
  readonly required?: true;
  /** How many values it takes; any number unless given. */
  readonly single?: true;
  /** Why it is not carried over, a clause; undefined where it is (or where the reader decides by its value). */
  readonly left?: string;
}

const COMPILING = "packages come built: nothing is compiled here";

/** In the order of catalyst's documentation. */
export const SPEC_KEYS: readonly SpecKey[] = [
  { key: "subarch", required: true, single: true },
  { key: "target", required: true, single: true },
  { key: "version_stamp", required: true, single: true },
  { key: "rel_type", required: true, single: true },
  { key: "profile", required: true, single: true, left: "it is the seed's own profile" },
  { key: "snapshot_treeish", required: true, single: true, left: "packages come from the package manager's own sources" },
  { key: "source_subpath", required: true, single: true },
  { key: "portage_confdir", single: true },
  { key: "repos", left: "repositories of ebuilds are set up in the seed, or by a script of the stage" },
  { key: "keep_repos", left: "repositories stay as the seed has them" },
  { key: "pkgcache_path", single: true, left: "outputs of stages are kept in the store" },
  { key: "kerncache_path", single: true, left: "outputs of stages are kept in the store" },
  { key: "compression_mode", single: true, left: "archives between stages are not compressed; the image has its own" },
  { key: "decompressor_search_order", left: "an archive's compression is seen from its bytes" },
  { key: "interpreter", left: "the seed must run on this computer" },
  { key: "binrepo_path", single: true, left: "it is for the results of catalyst's own builds" },
  { key: "catalyst_use", left: COMPILING },
  { key: "cbuild", single: true, left: COMPILING },
  { key: "hostuse", left: COMPILING },
  { key: "cflags", left: COMPILING },
  { key: "cxxflags", left: COMPILING },
  { key: "fcflags", left: COMPILING },
  { key: "fflags", left: COMPILING },
  { key: "ldflags", left: COMPILING },
  { key: "asflags", left: COMPILING },
  { key: "common_flags", left: COMPILING },
  { key: "install_mask", left: "name what is not wanted in `remove` of a stage" },
  { key: "rename_regexp", single: true, left: "it renames directories of catalyst's own" },
  { key: "portage_prefix", single: true, left: "it names files of catalyst's own" },

  { key: "livecd/packages", target: "livecd-stage1", required: true },
  { key: "livecd/use", target: "livecd-stage1", left: COMPILING },

  { key: "boot/kernel", target: "livecd-stage2", required: true },
  { key: "livecd/fstype", target: "livecd-stage2", single: true },
  { key: "livecd/fsops", target: "livecd-stage2" },
  { key: "livecd/cdtar", target: "livecd-stage2", single: true, left: "boot loaders come from packages, and the menu is made here" },
  { key: "livecd/iso", target: "livecd-stage2", single: true },
  { key: "livecd/iso_extra_partition", target: "livecd-stage2", single: true },
  { key: "livecd/volid", target: "livecd-stage2" },
  { key: "livecd/bootargs", target: "livecd-stage2" },
  { key: "livecd/gk_mainargs", target: "livecd-stage2", left: "genkernel is not used" },
  { key: "livecd/linuxrc", target: "livecd-stage2", single: true, left: "genkernel is not used; the live init is ours, or dracut's" },
  { key: "livecd/type", target: "livecd-stage2", single: true },
  { key: "livecd/readme", target: "livecd-stage2", single: true },
  { key: "livecd/motd", target: "livecd-stage2", single: true },
  { key: "livecd/modblacklist", target: "livecd-stage2" },
  { key: "livecd/rcadd", target: "livecd-stage2" },
  { key: "livecd/rcdel", target: "livecd-stage2" },
  { key: "livecd/overlay", target: "livecd-stage2" },
  { key: "livecd/root_overlay", target: "livecd-stage2" },
  { key: "livecd/users", target: "livecd-stage2" },
  { key: "livecd/fsscript", target: "livecd-stage2", single: true },
  { key: "livecd/depclean", target: "livecd-stage2", single: true },
  { key: "livecd/unmerge", target: "livecd-stage2" },
  { key: "livecd/empty", target: "livecd-stage2" },
  { key: "livecd/rm", target: "livecd-stage2" },
  { key: "livecd/verify", target: "livecd-stage2", single: true },
];

/** Keys of a kernel: `boot/kernel/LABEL/KEY`. */
export const KERNEL_KEYS: readonly SpecKey[] = [
  { key: "sources" },
  { key: "config", single: true, left: "kernels come built: name the package of one in `sources`" },
  { key: "use", left: COMPILING },
  { key: "packages" },
  { key: "extraversion", single: true, left: "kernels come built" },
  { key: "gk_kernargs", left: "genkernel is not used" },
  { key: "gk_action", single: true, left: "genkernel is not used" },
  { key: "initramfs_overlay", single: true },
  { key: "console" },
  { key: "softlevel" },
  { key: "aliases" },
  { key: "distkernel", single: true },
  { key: "dracut_args" },
];
