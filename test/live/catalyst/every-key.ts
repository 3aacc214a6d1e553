/** Specs for catalyst with every key that it knows of these targets. */

const COMMON = `
version_stamp: 20260102
rel_type: default
profile: default/linux/amd64/23.0/systemd
snapshot_treeish: 0123abcd
portage_confdir: confdir
repos: /var/db/repos/mine
keep_repos: mine
pkgcache_path: /tmp/packages
kerncache_path: /tmp/kernels
compression_mode: pixz
decompressor_search_order: tar.xz tar.bz2
interpreter: /usr/bin/qemu-aarch64
binrepo_path: amd64/binpackages
catalyst_use: -X
cbuild: x86_64-pc-linux-gnu
hostuse: ssl
common_flags: -O2 -pipe
cflags: -O2
cxxflags: -O2
fcflags: -O2
fflags: -O2
ldflags: -Wl,-O1
asflags: -O1
install_mask: /usr/share/doc
rename_regexp: s/a/b/
portage_prefix: releng
`;

export const STAGE1 =
  `# What is on the medium.
target: livecd-stage1
subarch: amd64
source_subpath: default/stage3-amd64-%(version_stamp)s
`.replace("source_subpath", `${COMMON}source_subpath`) +
  `
livecd/packages:
	app-editors/vim
	sys-apps/pciutils   sys-apps/usbutils # and a comment
livecd/use:
	-X
	ssl
`;

export const STAGE2 = `target: livecd-stage2
subarch: amd64
${COMMON}
source_subpath: default/livecd-stage1-amd64-20260102
boot/kernel: gentoo rescue
boot/kernel/gentoo/sources: sys-kernel/gentoo-kernel-bin sys-kernel/gentoo-sources
boot/kernel/gentoo/config: /etc/kernel.config
boot/kernel/gentoo/use: symlink
boot/kernel/gentoo/packages: net-wireless/broadcom-sta
boot/kernel/gentoo/extraversion: live
boot/kernel/gentoo/gk_kernargs: --lvm
boot/kernel/gentoo/gk_action: all
boot/kernel/gentoo/initramfs_overlay: initramfs
boot/kernel/gentoo/console: tty0 ttyS0,115200
boot/kernel/gentoo/softlevel: gamecd
boot/kernel/gentoo/aliases: live
boot/kernel/gentoo/distkernel: yes
boot/kernel/gentoo/dracut_args: --xz --no-hostonly
livecd/fstype: squashfs
livecd/fsops: -comp xz -Xbcj x86 -b 1M -no-recovery
livecd/cdtar: /usr/share/catalyst/cdtar.tar.bz2
livecd/iso: /tmp/Install+Media.iso
livecd/iso_extra_partition: 300000
livecd/volid: Gentoo Linux amd64 20260102
livecd/bootargs: dokeymap quiet
livecd/gk_mainargs: --dmraid
livecd/linuxrc: /tmp/linuxrc
livecd/type: generic-livecd
livecd/readme: README.txt
livecd/motd: motd.txt
livecd/modblacklist: pcspkr 8139cp
livecd/rcadd: sshd|default acpid dmesg|boot
livecd/rcdel: netmount keymaps|boot
livecd/overlay: overlay
livecd/root_overlay: root-overlay
livecd/users: ada grace
livecd/fsscript: fsscript.sh
livecd/depclean: keepbdeps
livecd/unmerge: sys-devel/gcc app-arch/cpio
livecd/empty: /var/tmp /usr/share/doc
livecd/rm: /lib/*.a /etc/*- /etc/make.conf.old ../escape
livecd/verify: blake2
`;
